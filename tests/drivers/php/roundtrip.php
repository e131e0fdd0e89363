<?php
// Asks PDO's driver, as tests/drivers/programs.py says: `php roundtrip.php prepared|emulated`, the types on standard
// input. "Emulated" means that PDO itself puts the values into the statement, as literals.
$pdo = new PDO(sprintf(
    'pgsql:host=%s;port=%s;dbname=%s;user=%s;sslmode=disable',
    getenv('PGHOST'), getenv('PGPORT'), getenv('PGDATABASE'), getenv('PGUSER')
));
$pdo->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
$pdo->setAttribute(PDO::ATTR_EMULATE_PREPARES, $argv[1] === 'emulated');

/** PDO gives a bytea as a stream; two columns are two streams, so that their contents are what is compared. */
function plain(mixed $value): array
{
    return is_resource($value) ? ['stream', stream_get_contents($value)] : [get_debug_type($value), $value];
}

function parameterType(string $native): int
{
    return ['int' => PDO::PARAM_INT, 'bool' => PDO::PARAM_BOOL, 'stream' => PDO::PARAM_LOB, 'null' => PDO::PARAM_NULL]
        [$native] ?? PDO::PARAM_STR;
}

function roundTrip(PDO $pdo, string $column, int $first, int $last, string $table): array
{
    $where = "WHERE id BETWEEN $first AND $last ORDER BY id";
    $seeds = $pdo->query("SELECT $column FROM seed $where")->fetchAll(PDO::FETCH_NUM);
    foreach ($seeds as $number => $row) {
        [$native, $value] = plain($row[0]);
        $insert = $pdo->prepare("INSERT INTO $table (id, $column) VALUES (?, ?)");
        $insert->bindValue(1, $first + $number, PDO::PARAM_INT);
        $insert->bindValue(2, $value, parameterType($native));
        $insert->execute();
    }
    $select = $pdo->query("SELECT $column FROM $table $where");
    $meta = $select->getColumnMeta(0);
    $values = array_map(fn ($row) => plain($row[0]), $select->fetchAll(PDO::FETCH_NUM));
    unset($meta['table'], $meta['pgsql:table_oid'], $meta['name']);
    ksort($meta);
    return [
        'native' => $values[0][0],
        'values' => array_map(fn ($value) => $value[0] . ' ' . bin2hex(var_export($value[1], true)), $values),
        'declared' => json_encode($meta),
    ];
}

while (($line = fgets(STDIN)) !== false) {
    [$column, , $first, $last] = explode("\t", rtrim($line, "\n"));
    foreach (['plain', 'sealed'] as $table) {
        $answer = ['column' => $column, 'table' => $table];
        try {
            $answer += roundTrip($pdo, $column, (int) $first, (int) $last, $table);
        } catch (PDOException $error) {
            $answer['error'] = $error->getMessage();
        }
        echo json_encode($answer, JSON_THROW_ON_ERROR), "\n";
    }
}
