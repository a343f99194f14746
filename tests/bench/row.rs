//! The row path without stores: decode ten columns into a slab, queue the batch, encode every value. ns a row.

use std::{hint::black_box, sync::Arc, time::Instant};
use whimbrel::model::{Change, Column, Field, NO_ROW, Rows, Table, TableName, Type, ValueRef};

const ROWS: usize = 5_000_000;
const BATCH: usize = 5_000;

fn main() {
    let columns = (0..10).map(|n| Column::new(format!("c{n}"), Type::Any)).collect();
    let table = Arc::new(Table::new(TableName::new("main", "t"), columns, vec![0]));
    let mut figures: Vec<f64> = (0..5).map(|_| run(&table)).collect();
    figures.sort_by(f64::total_cmp);
    println!("row path of 10 columns: {:.0} ns a row (median of 5 times {ROWS} rows)", figures[2]);
}

fn run(table: &Arc<Table>) -> f64 {
    let (send, receive) = std::sync::mpsc::sync_channel::<Arc<Rows>>(2);
    let start = Instant::now();
    let mut encoded = Vec::with_capacity(1 << 20);
    for batch in 0..ROWS / BATCH {
        let mut rows = Rows::default();
        rows.slab.reserve(BATCH * 140);
        let shape = rows.shape(table);
        for n in 0..BATCH {
            let id = (batch * BATCH + n) as i64;
            let mut row = rows.build();
            row.value(ValueRef::Int(id)).value(ValueRef::Int(id * 7)).value(ValueRef::Float64(id as f64));
            row.value(ValueRef::Text("a name"))
                .value(ValueRef::Text("a city"))
                .value(ValueRef::Bytes(b"0123456789abcdef"));
            row.value(ValueRef::Int(1))
                .value(ValueRef::Text("status"))
                .value(ValueRef::Null)
                .value(ValueRef::Text("a note"));
            let place = row.finish();
            rows.push(shape, Change::Upsert, place, NO_ROW);
        }
        send.send(Arc::new(rows)).expect("we receive it ourselves");
        let rows = receive.recv().expect("just sent");
        for mutation in &rows.mutations {
            encoded.clear();
            for field in rows.row(mutation.row).fields() {
                match field {
                    Field::Value(ValueRef::Int(v)) => encoded.extend_from_slice(&v.to_be_bytes()),
                    Field::Value(ValueRef::Float64(v)) => encoded.extend_from_slice(&v.to_be_bytes()),
                    Field::Value(ValueRef::Text(v)) => encoded.extend_from_slice(v.as_bytes()),
                    Field::Value(ValueRef::Bytes(v)) => encoded.extend_from_slice(v),
                    _ => encoded.push(0),
                }
            }
            black_box(&encoded);
        }
    }
    start.elapsed().as_secs_f64() * 1e9 / ROWS as f64
}
