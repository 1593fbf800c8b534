"""libmariadb through ctypes: COM_CHANGE_USER with every login plugin of its own."""

import ctypes
import ctypes.util

from support.servers import Account

MYSQL_OPT_CONNECT_TIMEOUT, MYSQL_OPT_SSL_ENFORCE = 0, 38

_name = ctypes.util.find_library("mariadb")
is_here = _name is not None
if is_here:
    _lib = ctypes.CDLL(_name)
    _lib.mysql_init.restype = ctypes.c_void_p
    _lib.mysql_real_connect.restype = ctypes.c_void_p
    _lib.mysql_error.restype = ctypes.c_char_p
    _lib.mysql_store_result.restype = ctypes.c_void_p
    _lib.mysql_fetch_row.restype = ctypes.POINTER(ctypes.c_char_p)


class Connection:
    """One MYSQL handle. Methods give errno and message: (0, '') when all went well."""

    def __init__(self, port: int, account: Account, *, tls: bool) -> None:
        self._mysql = ctypes.c_void_p(_lib.mysql_init(None))
        seconds = ctypes.c_uint(20)
        self._option(MYSQL_OPT_CONNECT_TIMEOUT, seconds)
        self._option(MYSQL_OPT_SSL_ENFORCE, ctypes.c_char(int(tls)))
        _lib.mysql_real_connect(
            self._mysql,
            b"127.0.0.1",
            account.user.encode(),
            account.password.encode(),
            None,
            ctypes.c_uint(port),
            None,
            ctypes.c_ulong(0),
        )
        self.outcome = self._outcome()

    def _option(self, option: int, value: "ctypes._SimpleCData[object]") -> None:
        _lib.mysql_options(self._mysql, ctypes.c_int(option), ctypes.byref(value))

    def _outcome(self) -> tuple[int, str]:
        errno = _lib.mysql_errno(self._mysql)
        return errno, _lib.mysql_error(self._mysql).decode()

    def change_user(self, account: Account) -> tuple[int, str]:
        _lib.mysql_change_user(
            self._mysql, account.user.encode(), account.password.encode(), None
        )
        return self._outcome()

    def value(self, sql: str) -> str:
        """The first value of the first row; the error's message where there is none."""
        if _lib.mysql_query(self._mysql, sql.encode()):
            return self._outcome()[1]
        result = ctypes.c_void_p(_lib.mysql_store_result(self._mysql))
        row = _lib.mysql_fetch_row(result)
        value = row[0].decode() if row and row[0] else "NULL"
        _lib.mysql_free_result(result)
        return value

    def close(self) -> None:
        _lib.mysql_close(self._mysql)
