//! `whimbrel store …`: the stores of the daemon's config, looked at and proven.

use super::{
    ask::Ask,
    ended::Ended,
    findings,
    show::{Cell, Paint, Table, counted, out, painted},
};
use crate::client::{CertifyStoreResponse, CheckOutcome, CheckStoreResponse, Plain, Role, Store};
use clap::{Args, Subcommand, ValueEnum};
use futures_util::StreamExt;

#[derive(Subcommand)]
pub enum StoreCommand {
    /// Lists the stores of the daemon's config; connects to none.
    List(AllArgs),
    /// Connects, and says what stands in the way of a job. Writes nothing.
    Check(CheckArgs),
    /// Lists the tables that a job could carry.
    Tables(StoreArgs),
    /// Proves, on scratch tables beside it, that the engine and this store keep their promises to each other.
    Certify(CertifyArgs),
    /// Lists what whimbrel made in a store and no job owns, with what removes it. Removes nothing.
    Leftovers(StoreArgs),
    /// Has the daemon read the stores of its config file again.
    Reload(AllArgs),
}

#[derive(Args)]
pub struct AllArgs {
    #[command(flatten)]
    ask: Ask,
}

#[derive(Args)]
pub struct StoreArgs {
    #[arg(value_name = "STORE")]
    name: String,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Args)]
pub struct CheckArgs {
    #[arg(value_name = "STORE")]
    name: String,
    /// What it shall be to a job; without it, what it is to the jobs there are, or else a source.
    #[arg(long, value_enum)]
    role: Option<RoleName>,
    /// Only these tables, as in a job's source: `shop.*`, `!shop.tmp_*`. May be repeated.
    #[arg(long = "table", value_name = "GLOB")]
    tables: Vec<String>,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Args)]
pub struct CertifyArgs {
    #[arg(value_name = "STORE")]
    name: String,
    /// What it shall be able to be.
    #[arg(long, value_enum, default_value = "source")]
    role: RoleName,
    /// Only the check of this name. May be repeated.
    #[arg(long = "check", value_name = "CHECK")]
    checks: Vec<String>,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    Source,
    Target,
}

impl RoleName {
    fn word(self) -> &'static str {
        match self {
            RoleName::Source => "source",
            RoleName::Target => "target",
        }
    }
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Role {
        match name {
            RoleName::Source => Role::Source,
            RoleName::Target => Role::Target,
        }
    }
}

pub fn run(command: &StoreCommand) -> Result<(), Ended> {
    match command {
        StoreCommand::List(args) => list(args),
        StoreCommand::Check(args) => check(args),
        StoreCommand::Tables(args) => tables(args),
        StoreCommand::Certify(args) => certify(args),
        StoreCommand::Leftovers(args) => leftovers(args),
        StoreCommand::Reload(args) => reload(args),
    }
}

fn list(args: &AllArgs) -> Result<(), Ended> {
    args.ask.run(async |client| {
        let (stores, show) = (client.all_stores().await?, args.ask.show);
        let mut table = Table::new(&["STORE", "KIND", "URL", "SOURCE OF", "TARGET OF"], &[]);
        for store in &stores {
            let names = |names: &[String]| if names.is_empty() { "-".to_owned() } else { names.join(",") };
            table.row([
                store.name.as_str().into(),
                store.kind.as_str().into(),
                store.url.as_str().into(),
                names(&store.source_of).into(),
                names(&store.target_of).into(),
            ]);
        }
        show.list(&table, &stores.iter().map(Plain::new).collect::<Vec<_>>());
        match stores.first() {
            Some(store) => show.next(&format!("whimbrel store check {}", store.name)),
            None => show.next("name a store in the daemon's config ([stores.NAME]), then whimbrel store reload"),
        }
        Ok(())
    })
}

fn check(args: &CheckArgs) -> Result<(), Ended> {
    let (name, show) = (&args.name, args.ask.show);
    args.ask.run(async |client| {
        let roles = match args.role {
            Some(role) => vec![role],
            None => roles(&client.store(name).await?),
        };
        let mut found = CheckStoreResponse { ok: true, ..Default::default() };
        let mut placed = Vec::new();
        for &role in &roles {
            let one = client.check_store(name, role.into(), &args.tables).await?;
            found.ok &= one.ok;
            let place = if roles.len() > 1 { format!("as a {}", role.word()) } else { String::new() };
            placed.extend(one.findings.iter().map(|_| place.clone()));
            found.findings.extend(one.findings);
        }
        match show.is_data() {
            true => show.data(&Plain::new(&found)),
            false => out(&findings::text(&placed.into_iter().zip(&found.findings).collect::<Vec<_>>(), show)),
        }
        if found.ok {
            let words: Vec<&str> = roles.iter().map(|role| role.word()).collect();
            let text = format!("store `{name}` is ready as a {}; nothing was written", words.join(" and a "));
            if !show.is_data() && !show.is_quiet() {
                out(&format!("{text}\n"));
            }
            show.next("whimbrel plan -f FILE examines it together with the other store of a job");
            return Ok(());
        }
        let text = format!("store `{name}`: {} in the way", counted(findings::blocking(&found.findings), "finding"));
        let mut hint = format!("run what mends them, then again: {}", typed(args));
        if let (None, [RoleName::Source]) = (args.role, &roles[..]) {
            hint += &format!("; where it is to be written only: whimbrel store check {name} --role target");
        }
        Err(Ended::refused(text, hint))
    })
}

/// What it is to the daemon's jobs; where none uses it, what is asked most.
fn roles(store: &Store) -> Vec<RoleName> {
    match (store.source_of.is_empty(), store.target_of.is_empty()) {
        (false, false) => vec![RoleName::Source, RoleName::Target],
        (true, false) => vec![RoleName::Target],
        (_, true) => vec![RoleName::Source],
    }
}

/// As it was typed, to be typed again.
fn typed(args: &CheckArgs) -> String {
    let role = match args.role {
        None => String::new(),
        Some(role) => format!(" --role {}", role.word()),
    };
    let tables: String = args.tables.iter().map(|glob| format!(" --table '{glob}'")).collect();
    format!("whimbrel store check {}{role}{tables}", args.name)
}

fn tables(args: &StoreArgs) -> Result<(), Ended> {
    args.ask.run(async |client| {
        let (tables, show) = (client.all_tables(&args.name).await?, args.ask.show);
        let mut table = Table::new(&["TABLE", "KEY", "COLUMNS"], &["TYPES"]);
        for one in &tables {
            let types = one.columns.iter().map(|column| {
                let null = if column.nullable { "" } else { " NOT NULL" };
                let generated = if column.generated { " GENERATED" } else { "" };
                format!("{} {}{null}{generated}", column.name, column.r#type)
            });
            table.row([
                one.name.as_str().into(),
                if one.key.is_empty() { "none".to_owned() } else { one.key.join(",") }.into(),
                one.columns.len().to_string().into(),
                Cell::new(types.collect::<Vec<_>>().join(", "), Paint::Dim),
            ]);
        }
        show.list(&table, &tables.iter().map(Plain::new).collect::<Vec<_>>());
        show.next(&format!("whimbrel store check {} says what cannot be carried", args.name));
        Ok(())
    })
}

fn certify(args: &CertifyArgs) -> Result<(), Ended> {
    let (name, show) = (&args.name, args.ask.show);
    args.ask.run(async |client| {
        let checks: Vec<&str> = args.checks.iter().map(String::as_str).collect();
        let mut results = client.certify_store(name, args.role.into(), &checks).await?;
        let (mut all, mut failed, mut skipped) = (Vec::new(), 0, 0);
        while let Some(result) = results.next().await {
            let result = result?;
            failed += usize::from(result.outcome() == CheckOutcome::Failed);
            skipped += usize::from(result.outcome() == CheckOutcome::Skipped);
            if !show.is_data() {
                out(&in_a_line(&result));
            }
            all.push(Plain::new(&result));
        }
        if show.is_data() {
            show.data(&all);
        }
        if failed > 0 {
            let text = format!("store `{name}`: {failed} of {} checks do not hold", all.len());
            return Err(Ended::failed(text).hint("do not run jobs with it; report what is written above"));
        }
        if !show.is_data() && !show.is_quiet() {
            let passed = counted(all.len() - skipped, "check");
            let skipped = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
            out(&format!("store `{name}`: {passed} passed{skipped}\n"));
        }
        Ok(())
    })
}

fn in_a_line(result: &CertifyStoreResponse) -> String {
    let outcome = match result.outcome() {
        CheckOutcome::Passed => painted("passed ", Paint::Good),
        CheckOutcome::Failed => painted("failed ", Paint::Bad),
        CheckOutcome::Skipped => painted("skipped", Paint::Dim),
        CheckOutcome::Unspecified => "unknown".to_owned(),
    };
    let text = match result.text.as_str() {
        "" => String::new(),
        text => format!("\n           {text}"),
    };
    format!(
        "{:>3}/{} {outcome} {} ({}): {}{text}\n",
        result.number, result.count, result.check, result.rule, result.proves
    )
}

fn leftovers(args: &StoreArgs) -> Result<(), Ended> {
    args.ask.run(async |client| {
        let (leftovers, show) = (client.leftovers(&args.name).await?, args.ask.show);
        if show.is_data() {
            show.data(&leftovers.iter().map(Plain::new).collect::<Vec<_>>());
            return Ok(());
        }
        for one in &leftovers {
            let job = if one.job_uid.is_empty() { String::new() } else { format!(", of job {}", one.job_uid) };
            out(&format!("{}{job}: {}\n", one.object, one.text));
            one.remove.lines().for_each(|line| out(&format!("  remove: {line}\n")));
        }
        match (leftovers.is_empty(), show.is_quiet()) {
            (_, true) => {}
            (true, false) => out(&format!("nothing is left over in store `{}`\n", args.name)),
            (false, false) => show.next("if no other daemon owns them, run the statements in the store's own shell"),
        }
        Ok(())
    })
}

fn reload(args: &AllArgs) -> Result<(), Ended> {
    args.ask.run(async |client| {
        let (news, show) = (client.reload_stores().await?, args.ask.show);
        let part = |word: &str, names: &[String]| (!names.is_empty()).then(|| format!("{word} {}", names.join(", ")));
        let parts = [part("added", &news.added), part("changed", &news.changed), part("removed", &news.removed)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let words = if parts.is_empty() { "nothing has changed".to_owned() } else { parts.join("; ") };
        show.done(&format!("stores are read again: {words}"), &Plain::new(&news));
        if !news.jobs.is_empty() {
            show.next(&format!("pause and start, to take the new settings: {}", news.jobs.join(", ")));
        }
        Ok(())
    })
}
