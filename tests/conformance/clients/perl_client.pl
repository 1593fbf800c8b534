# One script, two Perl drivers: prints what the driver sees, a JSON line a step.
#
# perl_client.pl DRIVER HOST PORT USER PASSWORD TLS MODE DATABASE STEPS
#   DRIVER mysql or MariaDB; TLS 0 or 1; MODE text or prepared
#   STEPS is the path of everything.steps or ml.steps
use strict;
use warnings;
use utf8;
use DBI qw(:sql_types);
use Digest::SHA qw(sha256_hex);
use Encode qw(encode decode);
use JSON::PP;

my ($driver, $host, $port, $user, $password, $tls, $mode, $database, $steps) = @ARGV;
my $prefix = lc $driver;    # of the driver's own attributes
my $json   = JSON::PP->new->canonical->allow_nonref->utf8;
my $link;

sub show {
    my ($step, %values) = @_;
    print $json->encode({ step => $step, %values }), "\n";
}

sub fault { (error => $DBI::err, state => $DBI::state, message => $DBI::errstr // "$@") }

# Numbers as the driver gives them may be strings or not; their text is what counts.
sub plain { map { defined ? "$_" : undef } @_ }

sub open_link {
    my ($secret) = @_;
    my %options = (
        server_prepare     => $mode eq 'prepared' ? 1 : 0,
        multi_statements   => 1,
        max_allowed_packet => 1 << 27,
    );
    # Without "optional", both verify the server's certificate or refuse TLS altogether.
    %options = (%options, ssl => 1, ssl_optional => 1) if $tls;
    my $name = "DBI:$driver:database=$database;host=$host;port=$port";
    $options{compression} = 1 if $ENV{COMPRESS};
    $name .= ";${prefix}_$_=$options{$_}" for sort keys %options;
    my %attributes = (RaiseError => 1, PrintError => 0, AutoCommit => 1);
    $attributes{mysql_enable_utf8mb4} = 1 if $driver eq 'mysql';    # the other always does
    return DBI->connect_cached($name, $user, $secret, \%attributes);
}

sub execute {
    my ($sql, @words) = @_;
    my $statement = $link->prepare($sql);
    my $position  = 0;
    for my $word (@words) {
        my ($type, $value) = split / /, $word, 2;
        $value //= '';
        my $sql_type = SQL_VARCHAR;
        if    ($type eq 'i')    { $sql_type = SQL_BIGINT }
        elsif ($type eq 'f')    { $sql_type = SQL_DOUBLE }
        elsif ($type eq 'b')    { $value    = pack('H*', $value); $sql_type = SQL_BLOB }
        elsif ($type eq 'null') { $value    = undef }
        elsif ($type eq 'big')  { $value    = 'x' x 9_000_000 . 'é' x 4_000_000 }
        $statement->bind_param(++$position, $value, $sql_type);
    }
    $statement->execute;
    return $statement;
}

sub columns {
    my ($statement) = @_;
    my @kinds = ('NAME', 'TYPE', 'PRECISION', 'SCALE', 'NULLABLE');
    push @kinds, map { "${prefix}_$_" } qw(table length max_length is_blob is_num is_key);
    return [ map { [ plain(@{ $statement->{$_} // [] }) ] } @kinds ];
}

sub changed {
    my ($statement) = @_;
    my $id = $driver eq 'mysql' ? $statement->{mysql_insertid} : $statement->{mariadb_insertid};
    my $warnings = $statement->{"${prefix}_warning_count"};
    return (affected => $statement->rows, id => [ plain($id) ], warnings => [ plain($warnings) ]);
}

sub rows {
    my ($statement) = @_;
    my $columns = columns($statement);    # gone after the last row
    my $rows    = $statement->fetchall_arrayref;
    return (columns => $columns, rows => [ map { [ plain(@$_) ] } @$rows ]);
}

sub several {
    my ($sql) = @_;
    my @seen;
    my $statement = $link->prepare($sql, { "${prefix}_server_prepare" => 0 });
    eval {
        $statement->execute;
        do {
            push @seen, $statement->{NUM_OF_FIELDS} ? { rows($statement) } : { changed($statement) };
        } while ($statement->more_results);
        1;
    } or push @seen, { fault() };
    return (results => \@seen);
}

my %kinds = (
    rows   => sub { my ($sql, @words) = @_; rows(execute($sql, @words)) },
    change => sub { my ($sql, @words) = @_; changed(execute($sql, @words)) },
    text   => sub { my ($sql) = @_; (affected => $link->do($sql, { "${prefix}_server_prepare" => 0 })) },
    call   => \&several,
    multi  => \&several,
    digest => sub {
        my ($sql, @words) = @_;
        my %seen = rows(execute($sql, @words));
        my $text = $json->encode($seen{rows});
        return (columns => $seen{columns}, rows => scalar @{ $seen{rows} }, digest => sha256_hex($text));
    },
    batch => sub {
        my ($sql, $range) = @_;
        my ($from, $to) = split / /, $range;
        my $statement = $link->prepare($sql);
        my @numbers   = ($from .. $to - 1);
        my @statuses;
        my $done = $statement->execute_array({ ArrayTupleStatus => \@statuses },
            [ map { "batch $_" } @numbers ], \@numbers);
        return (done => $done, statuses => \@statuses);
    },
    begin    => sub { $link->begin_work; () },
    commit   => sub { $link->commit unless $link->{AutoCommit}; () },
    rollback => sub { $link->rollback; () },
    # DBI gives a cached connection as it is, if it answers a ping.
    reset => sub { undef $link; $link = open_link($password); (how => 'none, by connect_cached()') },
);

sub steps_of {
    my ($file) = @_;
    open my $handle, '<:encoding(UTF-8)', $file or die "$file: $!";
    local $/ = '';
    my @steps;
    while (my $paragraph = <$handle>) {
        my @lines = grep { !/^#/ && length } split /\n/, $paragraph;
        next unless @lines;
        my ($kind, $name) = split / /, shift @lines, 2;
        my @words = map { substr $_, 2 } grep { /^> / } @lines;
        push @steps, [ $kind, $name // $kind, join("\n", grep { !/^> / } @lines), @words ];
    }
    return @steps;
}

my $module = "DBD::$driver";
eval "require $module" or die $@;
show('client', version => $module->VERSION);
eval { open_link("${password}wrong"); 1 } or show('wrong password', fault());
eval { $link = open_link($password); 1 } or do {
    show('log in', fault());
    exit 0;
};
for my $step (steps_of($steps)) {
    my ($kind, $name, @rest) = @$step;
    my %seen;
    if (eval { %seen = $kinds{$kind}->(@rest); 1 }) {
        show($name, %seen) if %seen;
    } else {
        show($name, fault());
    }
}
$link->disconnect;
show('closed');
