//! Pairs under changes that replicators stumble over: swaps, evictions, cascades, new columns, rows put back.

use super::*;

pub(super) async fn swapped(pair: &Pair) -> Verdict {
    let table = unique(&pair.from.schema());
    let name = table.name.clone();
    let mut job = Job::new(pair, std::slice::from_ref(&table)).await?;
    let mail = |n: i64| Some(format!("mail {n}"));
    let row = |id: i64| scene::unique_row(id, mail(id).as_deref(), "v");
    job.write(&(0..40).map(|id| Write::insert(&name, row(id))).collect::<Vec<_>>()).await?;
    let set = |id: i64, mail: Option<String>| {
        Write::update(&name, vec![Value::Int(id)], vec![(1, mail.map_or(Value::Null, Value::Text))])
    };
    let own = |round: i64, n: i64| Some(format!("turn {round}: {n}"));
    job.lanes = 3;
    job.start().await?;
    for round in 0..24 {
        // All values move on by some rows in one transaction, too large for one lane.
        let mut turn: Vec<Write> = (0..39).map(|id| set(id, None)).collect();
        turn.extend((0..39).map(|id| set(id, own(round / 3, (id + round) % 39))));
        job.write(&turn).await?;
        // A value that one row gives up and another takes at once, in transactions of their own.
        job.write(&[Write::delete(&name, vec![Value::Int(39)])]).await?;
        job.write(&[set(round, Some("given up".into()))]).await?;
        let taken = Write::insert(&name, scene::unique_row(39, Some("given up"), "v"));
        job.write(&[set(round, Some(format!("kept {round}"))), taken]).await?;
        tokio::task::yield_now().await;
        if round % 8 == 7 {
            job.arrives(&format!("unique values turned {round} times"), std::slice::from_ref(&name)).await?;
            job.kill().await?;
            job.start().await?;
        }
    }
    job.stop().await
}

pub(super) async fn evicted(pair: &Pair) -> Verdict {
    let table = unique(&pair.from.schema());
    let name = table.name.clone();
    let mut job = Job::new(pair, std::slice::from_ref(&table)).await?;
    let row = |id: i64, mail: i64| scene::unique_row(id, Some(&format!("mail {mail}")), "v");
    job.write(&(0..30).map(|id| Write::insert(&name, row(id, id))).collect::<Vec<_>>()).await?;
    job.start().await?;
    for n in 0..60 {
        job.write(&[Write::Replace { table: name.clone(), row: row((n * 11) % 30, (n * 7) % 37) }]).await?;
        if n % 20 == 19 {
            job.arrives("after evictions", std::slice::from_ref(&name)).await?;
        }
    }
    job.stop().await
}

pub(super) async fn children(pair: &Pair) -> Verdict {
    let schema = pair.from.schema();
    let tables = [plain(&schema), child(&schema)];
    let (parents, children) = (tables[0].name.clone(), tables[1].name.clone());
    let mut job = Job::new(pair, &tables).await?;
    let kid = |id: i64, parent: i64| Write::insert(&children, vec![Value::Int(id), Value::Int(parent)]);
    job.write(&(0..20).map(|id| Write::insert(&parents, plain_row(id, "parent"))).collect::<Vec<_>>()).await?;
    job.write(&(0..100).map(|id| kid(id, id % 20)).collect::<Vec<_>>()).await?;
    job.start().await?;
    for n in 0..10 {
        job.write(&[Write::insert(&parents, plain_row(100 + n, "new")), kid(1000 + n, 100 + n)]).await?;
        job.write(&[Write::delete(&parents, vec![Value::Int(n)])]).await?;
        job.write(&[Write::update(&parents, vec![Value::Int(10 + n)], vec![(0, Value::Int(500 + n))])]).await?;
        if n % 5 == 4 {
            job.arrives("parents and children", &names(&tables)).await?;
        }
    }
    job.stop().await
}

pub(super) async fn column_added(pair: &Pair) -> Verdict {
    let table = plain(&pair.from.schema());
    let name = table.name.clone();
    let mut job = Job::new(pair, std::slice::from_ref(&table)).await?;
    job.write(&(0..50).map(|id| Write::insert(&name, plain_row(id, "old"))).collect::<Vec<_>>()).await?;
    job.start().await?;
    job.arrives("before", std::slice::from_ref(&name)).await?;
    for (number, extra) in ["extra", "more"].into_iter().enumerate() {
        let number = i64::try_from(number).expect("two");
        job.write(&[Write::AddColumn { table: name.clone(), column: Column::new(extra, Type::Text) }]).await?;
        let width = usize::try_from(number).expect("two") + 5;
        let mut row = plain_row(100 + number, "new");
        row.resize(width, Value::Text("filled".into()));
        job.write(&[Write::insert(&name, row)]).await?;
        let set = vec![(width - 1, Value::Text("set".into()))];
        job.write(&[Write::update(&name, vec![Value::Int(number)], set)]).await?;
        // While the job is away, too.
        job.kill().await?;
        job.write(&[Write::delete(&name, vec![Value::Int(10 + number)])]).await?;
        job.start().await?;
        job.arrives(&format!("with the column `{extra}`"), std::slice::from_ref(&name)).await?;
    }
    job.stop().await
}

pub(super) async fn put_back(pair: &Pair) -> Verdict {
    let table = plain(&pair.from.schema());
    let name = table.name.clone();
    let mut job = Job::new(pair, std::slice::from_ref(&table)).await?;
    job.start().await?;
    job.write(&[Write::insert(&name, plain_row(1, "kept"))]).await?;
    job.arrives("before", std::slice::from_ref(&name)).await?;
    pair.from.back_up().await?;
    job.write(&[Write::insert(&name, plain_row(2, "forgotten"))]).await?;
    job.arrives("before it was put back", std::slice::from_ref(&name)).await?;
    job.kill().await?;
    pair.from.restore().await?;
    job.write(&[Write::insert(&name, plain_row(3, "instead"))]).await?;
    job.start().await?;
    let running = job.running.take().ok_or_else(|| Failure("nothing runs".into()))?;
    let ended = tokio::time::timeout(SOON, running.task).await;
    let ended = ended.map_err(|_| {
        Failure(format!("the job goes on as if nothing were lost, {:?}", running.status.borrow().observed))
    })?;
    match ended.map_err(|error| Failure(format!("the job died: {error}")))? {
        Ok(()) => Err(Failure("the job ended as if all were well".into())),
        Err(error) => same(&format!("the kind of {error:?}"), &error.kind(), &ErrorKind::Lost),
    }
}
