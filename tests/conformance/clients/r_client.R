# One script, R's RMySQL: prints what it sees, a JSON line a step.
#
# r_client.R HOST PORT USER PASSWORD TLS MODE DATABASE STEPS
#   TLS 0 or 1; MODE text; STEPS is the path of everything.steps or ml.steps
suppressPackageStartupMessages(library(RMySQL))

arguments <- commandArgs(trailingOnly = TRUE)
names(arguments) <- c("host", "port", "user", "password", "tls", "mode", "database", "steps")
link <- NULL

quoted <- function(text) {
  text <- gsub("\\", "\\\\", text, fixed = TRUE)
  text <- gsub("\"", "\\\"", text, fixed = TRUE)
  paste0("\"", gsub("\n", "\\n", text, fixed = TRUE), "\"")
}

# A data frame, a vector or NULL as JSON; every value as its text.
json <- function(value) {
  if (is.data.frame(value)) {
    columns <- vapply(value, json, "")
    paste0("{", paste0(quoted(names(value)), ": ", columns, collapse = ", "), "}")
  } else if (is.null(value) || length(value) == 0) {
    "[]"
  } else {
    text <- if (is.numeric(value)) format(value, digits = 17, trim = TRUE) else as.character(value)
    paste0("[", paste(ifelse(is.na(value), "null", quoted(text)), collapse = ", "), "]")
  }
}

show <- function(step, ...) {
  values <- list(...)
  shown <- vapply(values, json, "")
  fields <- c(paste0("\"step\": ", quoted(step)), sprintf("%s: %s", quoted(names(shown)), shown))
  cat("{", paste(fields, collapse = ", "), "}\n", sep = "")
}

# TLS is known to the C library only, which reads it from a file.
options_file <- tempfile()
writeLines(c("[rs-dbi]", if (arguments["tls"] == "1") "ssl_enforce=1"), options_file)

open_link <- function(password) {
  dbConnect(MySQL(),
    host = arguments[["host"]], port = as.integer(arguments["port"]), username = arguments[["user"]],
    password = password, dbname = arguments[["database"]],
    client.flag = CLIENT_MULTI_STATEMENTS, default.file = options_file
  )
}

# RMySQL has no parameters: the values are written into the statement.
filled_in <- function(sql, words) {
  for (word in words) {
    type <- sub(" .*", "", word)
    value <- substring(word, nchar(type) + 2)
    literal <- switch(type,
      i = , f = , d = value,
      b = paste0("X'", value, "'"),
      null = "NULL",
      big = paste0("'", strrep("x", 9000000), strrep("\u00e9", 4000000), "'"),
      dbQuoteString(link, value)
    )
    parts <- regmatches(sql, regexpr("?", sql, fixed = TRUE), invert = TRUE)[[1]]
    sql <- paste0(parts[1], literal, parts[2])
  }
  sql
}

changed <- function(result) {
  affected <- dbGetRowsAffected(result)
  dbClearResult(result)
  list(affected = affected)
}

rows <- function(result) {
  columns <- dbColumnInfo(result)
  found <- fetch(result, n = -1)
  dbClearResult(result)
  list(columns = columns, rows = found, count = nrow(found))
}

several <- function(sql) {
  result <- dbSendQuery(link, sql)
  seen <- list()
  repeat {
    seen <- c(seen, json(fetch(result, n = -1)))
    more <- dbMoreResults(link)
    dbClearResult(result)
    if (!more) break
    result <- dbNextResult(link)
  }
  list(results = unlist(seen))
}

digest <- function(seen) {
  place <- tempfile()
  writeLines(json(seen$rows), place)
  list(columns = seen$columns, count = seen$count, digest = unname(tools::md5sum(place)))
}

take <- function(kind, sql, words) {
  switch(kind,
    rows = rows(dbSendQuery(link, filled_in(sql, words))),
    digest = digest(rows(dbSendQuery(link, filled_in(sql, words)))),
    change = , text = changed(dbSendStatement(link, filled_in(sql, words))),
    call = , multi = several(sql),
    batch = {
      range <- as.integer(strsplit(words, " ")[[1]])
      numbers <- seq(range[1], range[2] - 1)
      one <- function(n) {
        words <- c(paste("s batch", n), paste("i", n))
        changed(dbSendStatement(link, filled_in(sql, words)))$affected
      }
      list(affected = vapply(numbers, one, 1))
    },
    begin = { dbBegin(link); NULL },
    commit = { dbCommit(link); NULL },
    rollback = { dbRollback(link); NULL },
    reset = NULL
  )
}

show("client", version = as.character(packageVersion("RMySQL")))
tryCatch(open_link(paste0(arguments["password"], "wrong")),
  error = function(error) show("wrong password", error = conditionMessage(error))
)
tryCatch(link <- open_link(arguments[["password"]]), error = function(error) {
  show("log in", error = conditionMessage(error))
  quit()
})
invisible(dbClearResult(dbSendStatement(link, "SET NAMES utf8mb4"))) # it has no option for it
paragraphs <- strsplit(paste(readLines(arguments["steps"], encoding = "UTF-8"), collapse = "\n"), "\n\n")[[1]]
for (paragraph in paragraphs) {
  lines <- grep("^(#|$)", strsplit(paragraph, "\n")[[1]], value = TRUE, invert = TRUE)
  if (length(lines) == 0) next
  kind <- sub(" .*", "", lines[1])
  name <- sub("^\\w+ ", "", lines[1])
  words <- substring(grep("^> ", lines, value = TRUE), 3)
  sql <- paste(grep("^> ", lines[-1], value = TRUE, invert = TRUE), collapse = "\n")
  seen <- tryCatch(suppressWarnings(take(kind, sql, words)), error = function(error) {
    number <- tryCatch(dbGetException(link)$errorNum, error = function(again) NA)
    list(error = conditionMessage(error), number = number)
  })
  if (!is.null(seen)) do.call(show, c(list(name), seen))
}
invisible(dbDisconnect(link))
show("closed")
