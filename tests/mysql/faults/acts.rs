//! What the application does, one kind of transaction each, and the tables that it does it to.

use super::writer::Desk;

/// As many keys as there are: few enough that all of them are used again and again.
const KEYS: u64 = 400;

/// Rows of the one table that is worth several pages of a copy.
const ORDERS: u64 = 6_000;

/// `sentinel` is the rig's own.
pub const TABLES: &[&str] =
    &["people", "orders", "stock", "words", "audit", "trees", "branches", "leaves", "fruits", "nodes", "sentinel"];

/// What is there before the first act.
pub fn schema() -> String {
    let numbers =
        "(SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n AS n FROM digits a, digits b, digits c, digits d) AS s";
    format!(
        "CREATE TABLE digits (n INT PRIMARY KEY); INSERT INTO digits VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9);
CREATE TABLE people (id INT PRIMARY KEY, mail VARCHAR(40) NOT NULL, nick VARCHAR(40), body TEXT,
  UNIQUE KEY by_mail (mail), UNIQUE KEY by_nick (nick)) ENGINE=InnoDB;
CREATE TABLE orders (id BIGINT PRIMARY KEY, amount DECIMAL(12,2), note VARCHAR(80), KEY by_amount (amount)) ENGINE=InnoDB;
CREATE TABLE stock (shop VARCHAR(10) NOT NULL, sku INT NOT NULL, pieces INT, PRIMARY KEY (shop, sku)) ENGINE=InnoDB;
CREATE TABLE words (word VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, n INT) ENGINE=InnoDB;
CREATE TABLE audit (at INT, what VARCHAR(10)) ENGINE=InnoDB;
CREATE TABLE trees (id INT PRIMARY KEY, name VARCHAR(20)) ENGINE=InnoDB;
CREATE TABLE branches (id INT PRIMARY KEY, tree INT, name VARCHAR(20),
  FOREIGN KEY (tree) REFERENCES trees (id) ON DELETE CASCADE ON UPDATE CASCADE) ENGINE=InnoDB;
CREATE TABLE leaves (id INT PRIMARY KEY, branch INT, name VARCHAR(20),
  FOREIGN KEY (branch) REFERENCES branches (id) ON DELETE SET NULL ON UPDATE CASCADE) ENGINE=InnoDB;
CREATE TABLE fruits (id INT PRIMARY KEY, branch INT, name VARCHAR(20),
  FOREIGN KEY (branch) REFERENCES branches (id) ON DELETE CASCADE) ENGINE=InnoDB;
CREATE TABLE nodes (id INT PRIMARY KEY, parent INT, name VARCHAR(20),
  FOREIGN KEY (parent) REFERENCES nodes (id) ON DELETE CASCADE) ENGINE=InnoDB;
INSERT INTO people SELECT n, CONCAT('m', n), IF(n % 3, CONCAT('n', n), NULL), REPEAT('x', n % 90) FROM {numbers} WHERE n < {KEYS};
INSERT INTO orders SELECT n, n / 7, CONCAT('note ', n) FROM {numbers} WHERE n < {ORDERS};
INSERT INTO stock SELECT ELT(1 + n % 3, 'north', 'south', 'east'), n, n FROM {numbers} WHERE n < {KEYS};
INSERT INTO words SELECT CONCAT(IF(n % 2, 'w', 'W'), n), n FROM {numbers} WHERE n < {KEYS};
INSERT INTO audit SELECT n % 4, IF(n % 2, 'in', 'out') FROM {numbers} WHERE n < 40;
INSERT INTO trees SELECT n, CONCAT('tree ', n) FROM {numbers} WHERE n < {KEYS};
INSERT INTO branches SELECT n, n % 300, CONCAT('branch ', n) FROM {numbers} WHERE n < {KEYS};
INSERT INTO leaves SELECT n, n % 300, CONCAT('leaf ', n) FROM {numbers} WHERE n < {KEYS};
INSERT INTO fruits SELECT n, n % 300, CONCAT('fruit ', n) FROM {numbers} WHERE n < {KEYS};
INSERT INTO nodes SELECT n, IF(n < 10, NULL, n DIV 3), CONCAT('node ', n) FROM {numbers} WHERE n < {KEYS} ORDER BY n;
DROP TABLE digits"
    )
}

/// A kind of transaction.
pub struct Act {
    pub name: &'static str,
    pub weight: u64,
    kind: Doing,
}

#[derive(Clone, Copy)]
enum Doing {
    Insert,
    Update,
    UpdateShort,
    Delete,
    MoveKey,
    MoveKeyBack,
    UseKeyAgain,
    DeleteInsertEqual,
    MoveUnique,
    SwapUnique,
    Truncate,
    Large,
    SeveralTables,
    KeylessInsert,
    KeylessDoubles,
    KeylessDelete,
    KeylessUpdate,
    ChangeCase,
    ChangeCaseAndDelete,
    CascadeDelete,
    CascadeKey,
    CascadeKeyTaken,
    SetNull,
    SelfReference,
    AddColumn,
    MinimalImage,
    NoblobImage,
    FullImage,
    TakenBack,
}

const fn act(name: &'static str, weight: u64, kind: Doing) -> Act {
    Act { name, weight, kind }
}

/// Everything that the hazards want to see. A run in which one of them never happened proves nothing of it.
pub const ACTS: &[Act] = &[
    act("insert", 20, Doing::Insert),
    act("update", 20, Doing::Update),
    act("update of a short column", 20, Doing::UpdateShort),
    act("delete", 12, Doing::Delete),
    act("key move", 10, Doing::MoveKey),
    act("key move and back", 8, Doing::MoveKeyBack),
    act("key used again", 8, Doing::UseKeyAgain),
    act("delete and insert with equal content", 8, Doing::DeleteInsertEqual),
    act("unique value moved", 10, Doing::MoveUnique),
    act("unique values swapped", 10, Doing::SwapUnique),
    act("truncate", 2, Doing::Truncate),
    act("large transaction", 3, Doing::Large),
    act("transaction over several tables", 8, Doing::SeveralTables),
    act("keyless insert", 6, Doing::KeylessInsert),
    act("keyless doubles", 4, Doing::KeylessDoubles),
    act("keyless delete", 4, Doing::KeylessDelete),
    act("keyless update", 4, Doing::KeylessUpdate),
    act("case change of a key", 8, Doing::ChangeCase),
    act("case change and delete", 6, Doing::ChangeCaseAndDelete),
    act("cascading delete", 3, Doing::CascadeDelete),
    act("cascading key change", 3, Doing::CascadeKey),
    act("cascading key taken by another", 3, Doing::CascadeKeyTaken),
    act("set null by foreign key", 3, Doing::SetNull),
    act("cascade within a table", 2, Doing::SelfReference),
    act("column added", 1, Doing::AddColumn),
    act("minimal images from here on", 3, Doing::MinimalImage),
    act("images without blobs from here on", 3, Doing::NoblobImage),
    act("full images from here on", 6, Doing::FullImage),
    act("transaction taken back", 4, Doing::TakenBack),
];

impl Desk {
    fn key(&mut self) -> u64 {
        self.chance.below(KEYS)
    }

    fn number(&mut self) -> u64 {
        self.chance.below(1_000_000)
    }

    /// One that is worth a copy of several pages, or not.
    fn order(&mut self) -> u64 {
        if self.chance.hits(300) { self.key() } else { self.chance.below(ORDERS) }
    }

    fn shop(&mut self) -> &'static str {
        ["north", "south", "east"][self.chance.index(3)]
    }

    fn insert(&mut self) -> String {
        let (key, number) = (self.key(), self.number());
        match self.chance.below(9) {
            0 => format!("INSERT INTO people VALUES ({key}, 'm{number}', NULL, REPEAT('y', {}))", number % 300),
            1 => format!("INSERT INTO orders (id, amount, note) VALUES ({}, {number}, 'new')", self.order()),
            2 => format!("INSERT INTO stock (shop, sku, pieces) VALUES ('{}', {key}, {number})", self.shop()),
            3 => format!("INSERT INTO words VALUES ('{}{key}', {number})", self.chance.pick(&["w", "W"])),
            4 => format!("INSERT INTO trees VALUES ({key}, 'tree {number}')"),
            5 => format!("INSERT INTO branches SELECT {key}, id, 'b{number}' FROM trees ORDER BY RAND() LIMIT 1"),
            6 => format!("INSERT INTO leaves SELECT {key}, id, 'l{number}' FROM branches ORDER BY RAND() LIMIT 1"),
            7 => format!("INSERT INTO fruits SELECT {key}, id, 'f{number}' FROM branches ORDER BY RAND() LIMIT 1"),
            _ => format!("INSERT INTO nodes SELECT {key}, id, 'n{number}' FROM nodes ORDER BY RAND() LIMIT 1"),
        }
    }

    fn update(&mut self, short: bool) -> String {
        let (key, number) = (self.key(), self.number());
        match self.chance.below(if short { 5 } else { 7 }) {
            0 => format!("UPDATE people SET nick = 'n{number}' WHERE id = {key}"),
            1 => format!("UPDATE orders SET amount = {number} WHERE id = {}", self.order()),
            2 => format!("UPDATE stock SET pieces = {number} WHERE sku = {key}"),
            3 => format!("UPDATE words SET n = {number} WHERE word = 'w{key}'"),
            4 => format!("UPDATE leaves SET name = 'l{number}' WHERE id = {key}"),
            5 => format!("UPDATE people SET body = REPEAT('z', {}) WHERE id = {key}", number % 500),
            _ => format!("UPDATE branches SET name = 'b{number}' WHERE id = {key}"),
        }
    }

    fn delete(&mut self) -> String {
        let key = self.key();
        match self.chance.below(6) {
            0 => format!("DELETE FROM people WHERE id = {key}"),
            1 => format!("DELETE FROM orders WHERE id = {}", self.order()),
            2 => format!("DELETE FROM stock WHERE sku = {key}"),
            3 => format!("DELETE FROM words WHERE word = 'W{key}'"),
            4 => format!("DELETE FROM leaves WHERE id = {key}"),
            _ => format!("DELETE FROM fruits WHERE id = {key}"),
        }
    }

    fn moves(&mut self) -> (String, String) {
        let (key, to) = (self.key(), self.key());
        let (table, column, from, to) = match self.chance.below(4) {
            0 => ("people", "id", key.to_string(), to.to_string()),
            1 => ("orders", "id", self.order().to_string(), format!("-{}", self.number())),
            2 => ("stock", "sku", key.to_string(), to.to_string()),
            _ => ("words", "word", format!("'w{key}'"), format!("'v{to}'")),
        };
        let step = |from: &str, to: &str| format!("UPDATE {table} SET {column} = {to} WHERE {column} = {from}");
        (step(&from, &to), step(&to, &from))
    }

    /// A branch's tree, which has children.
    async fn tree(&mut self) -> Result<Option<String>, mysql_async::Error> {
        self.value("SELECT tree FROM branches WHERE tree IS NOT NULL ORDER BY RAND() LIMIT 1").await
    }
}

/// Whether it found something to do, and did it all.
pub async fn run(desk: &mut Desk, act: &Act) -> Result<bool, mysql_async::Error> {
    let (key, other, number) = (desk.key(), desk.key(), desk.number());
    match act.kind {
        Doing::Insert => {
            let sql = desk.insert();
            Ok(desk.run(sql).await? > 0)
        }
        Doing::Update | Doing::UpdateShort => {
            let sql = desk.update(matches!(act.kind, Doing::UpdateShort));
            Ok(desk.run(sql).await? > 0)
        }
        Doing::Delete => {
            let sql = desk.delete();
            Ok(desk.run(sql).await? > 0)
        }
        Doing::MoveKey => {
            let (there, _) = desk.moves();
            Ok(desk.run(there).await? > 0)
        }
        Doing::MoveKeyBack => {
            let (there, back) = desk.moves();
            Ok(desk.run(there).await? > 0 && desk.run(back).await? > 0)
        }
        Doing::UseKeyAgain => {
            let gone = desk.run(format!("DELETE FROM people WHERE id = {key}")).await?;
            let sql =
                format!("INSERT INTO people (id, mail, nick, body) VALUES ({key}, 'again{number}', NULL, 'again')");
            Ok(gone > 0 && desk.run(sql).await? > 0)
        }
        Doing::DeleteInsertEqual => {
            let row = desk.value(format!(
                "SELECT CONCAT_WS(',', QUOTE(mail), QUOTE(nick), QUOTE(body)) FROM people WHERE id = {key}"
            ));
            let Some(row) = row.await? else { return Ok(false) };
            let put = format!("INSERT INTO people (id, mail, nick, body) VALUES ({key}, {row})");
            desk.transact(&[format!("DELETE FROM people WHERE id = {key}"), put]).await
        }
        Doing::MoveUnique => {
            let steps = [
                format!("SET @m = (SELECT mail FROM people WHERE id = {key})"),
                format!("UPDATE people SET mail = 'free{number}' WHERE id = {key}"),
                format!("UPDATE people SET mail = @m WHERE id = {other} AND @m IS NOT NULL"),
            ];
            desk.transact(&steps).await
        }
        Doing::SwapUnique => {
            let steps = [
                format!(
                    "SET @m = (SELECT mail FROM people WHERE id = {key}), @o = (SELECT mail FROM people WHERE id = {other})"
                ),
                format!("UPDATE people SET mail = 'swap{number}' WHERE id = {key} AND @o IS NOT NULL"),
                format!("UPDATE people SET mail = @m WHERE id = {other} AND @m IS NOT NULL"),
                format!("UPDATE people SET mail = @o WHERE id = {key} AND @m IS NOT NULL AND @o IS NOT NULL"),
            ];
            desk.transact(&steps).await
        }
        Doing::Truncate => {
            let table = *desk.chance.pick(&["words", "stock", "audit", "people"]);
            desk.run(format!("TRUNCATE TABLE {table}")).await?;
            for n in 0..KEYS / 2 {
                let sql = match table {
                    "words" => format!("INSERT INTO words VALUES ('w{n}', {number})"),
                    "stock" => format!("INSERT INTO stock (shop, sku, pieces) VALUES ('east', {n}, {number})"),
                    "audit" => format!("INSERT INTO audit (at, what) VALUES ({}, 'in')", n % 4),
                    _ => format!("INSERT INTO people VALUES ({n}, 'm{n}', NULL, 'new')"),
                };
                desk.run(sql).await?;
            }
            Ok(true)
        }
        Doing::Large => {
            let from = desk.chance.below(ORDERS - 1_500);
            let within = format!("id BETWEEN {from} AND {}", from + 1_500);
            let steps = [
                format!("UPDATE orders SET note = 'large {number}' WHERE {within}"),
                format!("DELETE FROM orders WHERE {within} AND id % 50 = {}", number % 50),
                format!("UPDATE orders SET amount = amount + 1 WHERE {within} AND id % 3 = 0"),
            ];
            desk.transact(&steps).await.map(|_| true)
        }
        Doing::SeveralTables => {
            let steps = [
                format!("UPDATE people SET body = 'several {number}' WHERE id = {key}"),
                format!("UPDATE orders SET note = 'several {number}' WHERE id = {key}"),
                format!("INSERT INTO audit (at, what) VALUES ({}, 'both')", number % 4),
                format!("UPDATE stock SET pieces = pieces + 1 WHERE sku = {key}"),
            ];
            desk.transact(&steps).await
        }
        Doing::KeylessInsert => {
            Ok(desk.run(format!("INSERT INTO audit (at, what) VALUES ({}, 'in')", number % 4)).await? > 0)
        }
        Doing::KeylessDoubles => {
            let at = number % 4;
            Ok(desk.run(format!("INSERT INTO audit (at, what) VALUES ({at}, 'out'), ({at}, 'out')")).await? > 1)
        }
        Doing::KeylessDelete => Ok(desk.run(format!("DELETE FROM audit WHERE at = {} LIMIT 1", number % 4)).await? > 0),
        Doing::KeylessUpdate => {
            let sql = format!("UPDATE audit SET what = 'new{}' WHERE at = {} LIMIT 2", number % 9, number % 4);
            Ok(desk.run(sql).await? > 0)
        }
        Doing::ChangeCase => {
            let other = "IF(BINARY word = BINARY UPPER(word), LOWER(word), UPPER(word))";
            Ok(desk.run(format!("UPDATE words SET word = {other} WHERE word = 'w{key}'")).await? > 0)
        }
        Doing::ChangeCaseAndDelete => {
            let other = "IF(BINARY word = BINARY UPPER(word), LOWER(word), UPPER(word))";
            let changed = desk.run(format!("UPDATE words SET word = {other} WHERE word = 'W{key}'")).await?;
            Ok(changed > 0 && desk.run(format!("DELETE FROM words WHERE word = 'w{key}'")).await? > 0)
        }
        Doing::CascadeDelete => {
            let Some(tree) = desk.tree().await? else { return Ok(false) };
            Ok(desk.run(format!("DELETE FROM trees WHERE id = {tree}")).await? > 0)
        }
        Doing::CascadeKey => {
            let Some(tree) = desk.tree().await? else { return Ok(false) };
            let to = if desk.chance.hits(300) { key } else { 1_000 + number };
            Ok(desk.run(format!("UPDATE trees SET id = {to} WHERE id = {tree}")).await? > 0)
        }
        Doing::CascadeKeyTaken => {
            let (Some(one), Some(other)) = (desk.tree().await?, desk.tree().await?) else { return Ok(false) };
            let away = desk.run(format!("UPDATE trees SET id = {} WHERE id = {one}", 1_000 + number)).await?;
            let into = desk.run(format!("UPDATE trees SET id = {one} WHERE id = {other}")).await?;
            Ok(one != other && away > 0 && into > 0)
        }
        Doing::SetNull => {
            let branch = desk.value("SELECT branch FROM leaves WHERE branch IS NOT NULL ORDER BY RAND() LIMIT 1");
            let Some(branch) = branch.await? else { return Ok(false) };
            Ok(desk.run(format!("DELETE FROM branches WHERE id = {branch}")).await? > 0)
        }
        Doing::SelfReference => {
            let node = desk.value("SELECT parent FROM nodes WHERE parent > 60 ORDER BY RAND() LIMIT 1");
            let Some(node) = node.await? else { return Ok(false) };
            Ok(desk.run(format!("DELETE FROM nodes WHERE id = {node}")).await? > 0)
        }
        Doing::AddColumn => {
            let table = *desk.chance.pick(&["orders", "stock", "audit"]);
            let columns = format!(
                "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = '{table}'"
            );
            let count: u64 = desk.value(columns).await?.and_then(|count| count.parse().ok()).unwrap_or(0);
            if count > 5 {
                return Ok(false);
            }
            // With a value or empty, and at any place.
            let fill = if desk.chance.hits(500) { String::new() } else { format!(" DEFAULT {}", number % 1_000) };
            let after = match table {
                "orders" => " AFTER note",
                "stock" => " AFTER sku",
                _ => " AFTER at",
            };
            let place = *desk.chance.pick(&["", " FIRST", after]);
            desk.run(format!("ALTER TABLE {table} ADD COLUMN more{count} INT{fill}{place}")).await?;
            Ok(true)
        }
        Doing::MinimalImage => desk.run("SET SESSION binlog_row_image = 'MINIMAL'").await.map(|_| true),
        Doing::NoblobImage => desk.run("SET SESSION binlog_row_image = 'NOBLOB'").await.map(|_| true),
        Doing::FullImage => desk.run("SET SESSION binlog_row_image = 'FULL'").await.map(|_| true),
        Doing::TakenBack => {
            desk.run("BEGIN").await?;
            let sql = desk.delete();
            let changed = desk.run(sql).await?;
            desk.run("ROLLBACK").await?;
            Ok(changed > 0)
        }
    }
}
