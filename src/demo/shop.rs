//! A small shop and the application that keeps changing it: what the demo and the crash tests replicate.

use rusqlite::{Connection, Result, Transaction, params};
use std::{
    path::Path,
    time::{Duration, Instant},
};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS customers(
        id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, name TEXT, balance NUMERIC DEFAULT 0);
    CREATE TABLE IF NOT EXISTS orders(
        id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers(id) ON DELETE CASCADE ON UPDATE CASCADE,
        status TEXT CHECK(status IN ('new','paid','sent')), note);
    CREATE TABLE IF NOT EXISTS order_lines(
        order_id INTEGER NOT NULL REFERENCES orders(id) ON DELETE CASCADE, line INTEGER NOT NULL, sku TEXT, amount REAL,
        price NUMERIC, total AS (amount * price) STORED, PRIMARY KEY(order_id, line)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS stock(sku TEXT PRIMARY KEY COLLATE NOCASE NOT NULL, shelf TEXT UNIQUE, pieces INTEGER);
    CREATE TABLE IF NOT EXISTS visits(at REAL, page TEXT, agent BLOB);
";

/// Makes the shop with some hundred customers, if it is not there.
pub fn create(path: &Path) -> Result<()> {
    let mut db = open(path)?;
    db.execute_batch("PRAGMA journal_mode = WAL")?;
    let tx = db.transaction()?;
    tx.execute_batch(SCHEMA)?;
    let empty: bool = tx.query_row("SELECT NOT EXISTS (SELECT 1 FROM customers)", [], |row| row.get(0))?;
    if empty {
        let mut chance = Chance::new(1);
        for id in 1..=500 {
            let email = format!("c{id}@example.org");
            tx.execute(
                "INSERT INTO customers VALUES (?1, ?2, ?3, ?4)",
                params![id, email, name(&mut chance), id * 10],
            )?;
            tx.execute(
                "INSERT INTO stock VALUES (?1, ?2, ?3)",
                params![format!("Sku-{id}"), format!("shelf {id}"), id],
            )?;
            order(&tx, &mut chance, id)?;
        }
    }
    tx.commit()
}

/// Changes the shop about `rate` times a second until `until`; tells how many changes were committed.
pub fn write(path: &Path, rate: u32, until: Option<Instant>, seed: u64) -> Result<u64> {
    let mut db = open(path)?;
    let mut chance = Chance::new(seed);
    let (mut changes, start) = (0u64, Instant::now());
    while until.is_none_or(|until| Instant::now() < until) {
        let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let many = 1 + chance.below(8);
        for _ in 0..many {
            change(&tx, &mut chance)?;
        }
        tx.commit()?;
        changes += many;
        let due = Duration::from_secs_f64(changes as f64 / f64::from(rate.max(1)));
        std::thread::sleep(due.saturating_sub(start.elapsed()).min(Duration::from_secs(1)));
    }
    Ok(changes)
}

fn open(path: &Path) -> Result<Connection> {
    let db = Connection::open(path)?;
    db.busy_timeout(Duration::from_secs(30))?;
    db.execute_batch("PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL")?;
    Ok(db)
}

/// One change of the kinds that replicators stumble over: keys that move, unique values that swap, rows that are
/// replaced through a second unique index, cascades, deletes and inserts of the same key.
fn change(tx: &Transaction<'_>, chance: &mut Chance) -> Result<()> {
    let some = |table: &str, chance: &mut Chance| -> Result<i64> {
        let sql = format!("SELECT rowid FROM {table} WHERE rowid >= ?1 ORDER BY rowid LIMIT 1");
        let from = chance.below(2_000);
        tx.prepare_cached(&sql)?.query_row([from as i64], |row| row.get(0)).or(Ok(1))
    };
    let id = some("customers", chance)?;
    match chance.below(16) {
        0..=2 => {
            let email = format!("n{}@example.org", chance.below(1 << 40));
            tx.execute("INSERT INTO customers(email, name) VALUES (?1, ?2)", params![email, name(chance)])?;
            order(tx, chance, tx.last_insert_rowid())?;
        }
        3..=6 => {
            let amount = chance.below(1000) as f64 / 8.0;
            tx.execute(
                "UPDATE customers SET balance = ?2, name = ?3 WHERE id = ?1",
                params![id, amount, name(chance)],
            )?;
            tx.execute("UPDATE stock SET pieces = pieces + 1 WHERE rowid = ?1", [some("stock", chance)?])?;
        }
        7 => {
            // The key moves, to a number that may have been somebody else's before.
            let new = 1 + chance.below(4_000) as i64;
            tx.execute("UPDATE OR IGNORE customers SET id = ?2 WHERE id = ?1", params![id, new])?;
        }
        8 => {
            // Two customers swap their addresses.
            let other = some("customers", chance)?;
            let get = "SELECT email FROM customers WHERE id = ?1";
            let email = |id: i64| tx.query_row(get, [id], |row| row.get::<_, String>(0));
            if let (Ok(one), Ok(two)) = (email(id), email(other))
                && id != other
            {
                let set = "UPDATE customers SET email = ?2 WHERE id = ?1";
                tx.execute(set, params![id, format!("swap-{id}")])?;
                tx.execute(set, params![other, one])?;
                tx.execute(set, params![id, two])?;
            }
        }
        9 => {
            // A new article takes the shelf of another one, which is thereby gone.
            let shelf: Option<String> = tx
                .query_row("SELECT shelf FROM stock WHERE rowid = ?1", [some("stock", chance)?], |row| row.get(0))
                .ok();
            let sku = format!("SKU-{}", chance.below(2_000));
            tx.execute(
                "INSERT OR REPLACE INTO stock VALUES (?1, ?2, ?3)",
                params![sku, shelf, chance.below(50) as i64],
            )?;
        }
        10 => {
            // The same article, spelled otherwise.
            let sql = "UPDATE stock SET sku = CASE WHEN sku = upper(sku) THEN lower(sku) ELSE upper(sku) END \
                       WHERE rowid = ?1";
            tx.prepare_cached(sql)?.execute([some("stock", chance)?])?;
        }
        11 => drop(tx.execute("DELETE FROM customers WHERE id = ?1", [id])?),
        12 => {
            // Deleted and inserted again with the same key.
            let order_id = some("orders", chance)?;
            tx.execute("UPDATE orders SET status = 'sent', note = ?2 WHERE id = ?1", params![order_id, note(chance)])?;
            let lines = "DELETE FROM order_lines WHERE order_id = ?1 AND line = 1";
            if tx.execute(lines, [order_id])? == 1 {
                tx.execute("INSERT INTO order_lines VALUES (?1, 1, 'again', 2, 3)", [order_id])?;
            }
        }
        13 => {
            let at = chance.below(1 << 30) as f64 / 1024.0;
            tx.execute("INSERT INTO visits VALUES (?1, ?2, ?3)", params![at, name(chance), note(chance)])?;
            tx.execute("DELETE FROM visits WHERE rowid = ?1", [some("visits", chance)? - 3])?;
        }
        _ => order(tx, chance, id)?,
    }
    Ok(())
}

fn order(tx: &Transaction<'_>, chance: &mut Chance, customer: i64) -> Result<()> {
    let known = tx.query_row("SELECT 1 FROM customers WHERE id = ?1", [customer], |_| Ok(())).is_ok();
    if !known {
        return Ok(());
    }
    tx.execute(
        "INSERT INTO orders(customer_id, status, note) VALUES (?1, 'new', ?2)",
        params![customer, note(chance)],
    )?;
    let order = tx.last_insert_rowid();
    for line in 1..=1 + chance.below(3) as i64 {
        let price = chance.below(10_000) as f64 / 100.0;
        let sku = format!("Sku-{}", chance.below(500));
        tx.prepare_cached("INSERT OR REPLACE INTO order_lines VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
            order,
            line,
            sku,
            chance.below(5) as i64,
            price
        ])?;
    }
    Ok(())
}

/// A value of any storage class, now and then a large one.
fn note(chance: &mut Chance) -> rusqlite::types::Value {
    use rusqlite::types::Value;
    match chance.below(40) {
        0..=9 => Value::Null,
        10..=19 => Value::Integer(chance.below(1 << 50) as i64),
        20..=24 => Value::Real(chance.below(1000) as f64 / 3.0),
        25..=35 => Value::Text(format!("nöte {}", chance.below(1000))),
        36..=38 => Value::Blob(vec![chance.below(256) as u8; 40]),
        _ => Value::Blob(vec![7; 20_000]),
    }
}

fn name(chance: &mut Chance) -> String {
    const NAMES: [&str; 8] = ["Ada", "Grace", "Edsger", "Barbara", "Niklaus", "王小明", "Søren", "Zoë"];
    format!("{} {}", NAMES[chance.below(8) as usize], chance.below(100))
}

/// A seeded generator (xorshift64*), so that a run can be told again.
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}
