//! What the daemon is told: files, environment, flags; and that everything it does not understand is refused.

use config::FileFormat;
use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};
use whimbrel::{
    config::{Config, HttpListen, LogFormat, Secret, job_from_file, job_from_text},
    error::Result,
    model::{ApplySettings, CopySettings, Existing, Keyless},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn load(text: &str, environment: &[(&str, &str)], flags: &[(&str, String)]) -> Result<Config> {
    let folder = tempfile::tempdir().expect("a temp folder");
    let file = folder.path().join("whimbrel.toml");
    fs::write(&file, text).expect("ours");
    let environment = environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Config::from_parts(Some(&file), environment, flags)
}

/// The whole refusal as a person sees it: what, then what to do.
fn refusal<T: std::fmt::Debug>(result: Result<T>) -> String {
    let error = result.expect_err("refused");
    format!("{error} / {}", error.hint_text().expect("every refusal says what to do"))
}

#[track_caller]
fn says(refusal: &str, parts: &[&str]) {
    for part in parts {
        assert!(refusal.contains(part), "`{part}` is missing in: {refusal}");
    }
}

#[test]
fn the_shipped_file_holds_every_key_with_its_default() {
    let file = PathBuf::from(ROOT).join("config/whimbrel.toml");
    let shipped = Config::from_parts(Some(&file), HashMap::new(), &[]).expect("good");
    assert_eq!(shipped, load("", &[], &[]).expect("all defaults"));
    let keys = |value: &serde_json::Value| {
        let table = value.as_object().expect("a table");
        let inner = table.iter().flat_map(|(key, value)| match value.as_object() {
            Some(inner) => inner.keys().map(|inner| format!("{key}.{inner}")).collect(),
            None => vec![key.clone()],
        });
        inner.collect::<BTreeSet<_>>()
    };
    let source = config::File::from(file);
    let written = config::Config::builder().add_source(source).build().expect("good");
    let written: serde_json::Value = written.try_deserialize().expect("plain");
    assert_eq!(keys(&written), keys(&serde_json::to_value(&shipped).expect("plain")));
}

#[test]
fn the_shipped_example_of_a_store_is_good() {
    let text = fs::read_to_string(Path::new(ROOT).join("config/whimbrel.toml")).expect("there");
    let is_example = |line: &&str| line.starts_with("# [stores.") || line.contains(" = ") && line.starts_with("# ");
    let (_, stores) = text.split_once("[stores]").expect("there");
    let example: String = stores.lines().filter(is_example).map(|line| format!("{}\n", &line[2..])).collect();
    let config = load(&example, &[], &[]).expect("good");
    assert_eq!(config.stores["shop"].url, "sqlite:/var/lib/shop/shop.db");
    assert_eq!(config.stores["shop"].secrets["password"], Secret::Env("SHOP_PASSWORD".into()));
}

#[test]
fn flags_win_over_the_environment_over_the_file() {
    let file = "listen = \"127.0.0.1:1\"\n[state]\ndir = \"/a\"\n[log]\nformat = \"json\"\n";
    let environment = [("WHIMBREL_LISTEN", "127.0.0.1:2"), ("WHIMBREL_STATE__DIR", "/b")];
    let config = load(file, &environment, &[("listen", "127.0.0.1:3".into())]).expect("good");
    assert_eq!(config.listen.port(), 3);
    assert_eq!(config.state.dir, Path::new("/b"));
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn stores_come_from_any_of_them() {
    let file = "[stores.prod-a]\nurl = \"sqlite:/a\"\n[stores.prod-a.options]\nlanes = 4\nname = \"007\"\n";
    let environment = [("WHIMBREL_STORES__B__URL", "sqlite:/b")];
    let config = load(file, &environment, &[]).expect("good");
    assert_eq!(config.stores["prod-a"].options["lanes"], "4");
    assert_eq!(config.stores["prod-a"].options["name"], "007");
    assert_eq!(config.stores["b"].url, "sqlite:/b");
}

#[test]
fn unknown_keys_are_refused_with_their_path() {
    says(&refusal(load("litsen = 1", &[], &[])), &["whimbrel.toml", "`litsen`", "did you mean `listen`"]);
    says(&refusal(load("[state]\ndirr = \"/a\"", &[], &[])), &["`state.dirr`", "did you mean `state.dir`"]);
    let store = "[stores.a]\nurl = \"sqlite:/a\"\nurk = \"x\"";
    says(&refusal(load(store, &[], &[])), &["`stores.a.urk`", "did you mean `stores.a.url`"]);
    says(&refusal(load("colour = 1", &[], &[])), &["`colour`", "config/whimbrel.toml"]);
    says(&refusal(load("", &[("WHIMBREL_LOG_FILTER", "debug")], &[])), &["`log_filter`", "did you mean `log.filter`"]);
}

#[test]
fn wrong_types_are_refused_with_their_path() {
    says(&refusal(load("listen = \"here\"", &[], &[])), &["listen", "socket address"]);
    says(&refusal(load("[memory]\nrows_in_flight_mib = \"much\"", &[], &[])), &["`memory.rows_in_flight_mib`", "much"]);
    says(&refusal(load("[memory]\nrows_in_flight_mib = 0", &[], &[])), &["`memory.rows_in_flight_mib`", "outside"]);
    says(&refusal(load("[log]\nformat = \"xml\"", &[], &[])), &["log.format", "xml", "pretty, json"]);
    says(&refusal(load("[stores.a]\nurl = [1]", &[], &[])), &["stores.a.url"]);
    says(&refusal(load("[stores.a]\noptions = {}", &[], &[])), &["stores.a", "url"]);
    says(&refusal(load("stores = 3", &[], &[])), &["stores"]);
    says(&refusal(load("listen = ", &[], &[])), &["whimbrel.toml", "cannot be understood"]);
}

const TLS: &str = "[tls]\ncertificate = \"/etc/whimbrel/tls.crt\"\nkey = \"/etc/whimbrel/tls.key\"\n";
const TOKENS: &str = "[tokens.ops]\nrole = \"admin\"\nfile = \"/etc/whimbrel/ops.token\"\n";

#[test]
fn listening_to_the_world_is_refused_with_the_lines_to_add() {
    for address in ["0.0.0.0:7411", "[::]:7411", "192.168.1.2:7411"] {
        let listen = format!("listen = \"{address}\"\n");
        let neither = refusal(load(&listen, &[], &[]));
        says(
            &neither,
            &[address, "loopback", "neither TLS nor tokens", TLS.trim(), TOKENS.trim(), "openssl", "ssh -L"],
        );
        let no_tokens = refusal(load(&format!("{listen}{TLS}"), &[], &[]));
        says(&no_tokens, &[address, "no tokens", TOKENS.trim()]);
        assert!(!no_tokens.contains("[tls]"), "{no_tokens}");
        let no_tls = refusal(load(&format!("{listen}{TOKENS}"), &[], &[]));
        says(&no_tls, &[address, "no TLS", TLS.trim()]);
        assert!(!no_tls.contains("[tokens"), "{no_tls}");
        load(&format!("{listen}{TLS}{TOKENS}"), &[], &[]).expect("the lines it printed are enough");
    }
    load("listen = \"[::1]:7411\"", &[], &[]).expect("loopback too");
}

#[test]
fn halves_of_access_are_refused() {
    says(&refusal(load("[tls]\ncertificate = \"/a\"", &[], &[])), &["`tls.key` is missing", "PEM"]);
    says(&refusal(load("[tls]\nkey = \"/a\"", &[], &[])), &["`tls.certificate` is missing", "PEM"]);
    says(&refusal(load("[tls]\nclient_ca = \"/a\"", &[], &[])), &["tls.client_ca", "tls.certificate"]);
    says(&refusal(load("[tokens.ops]\nrole = \"admin\"", &[], &[])), &["tokens.ops", "file"]);
    says(
        &refusal(load("[tokens.ops]\nrole = \"root\"\nfile = \"/a\"", &[], &[])),
        &["tokens.ops.role", "no `root`", "operate"],
    );
    says(&refusal(load("[tokens.Ops]\nrole = \"read\"\nfile = \"/a\"", &[], &[])), &["tokens", "lower-case"]);
    says(&refusal(load("[tokens.ops]\nfiel = \"/a\"", &[], &[])), &["did you mean `tokens.ops.file`"]);
}

#[test]
fn the_http_port_is_on_loopback_or_off_or_open_by_word() {
    let listen = |text: &str| load(&format!("[http]\nlisten = \"{text}\""), &[], &[]);
    assert_eq!(load("", &[], &[]).expect("good").http.listen, HttpListen(Some(([127, 0, 0, 1], 7412).into())));
    for off in ["off", ""] {
        assert_eq!(listen(off).expect("good").http.listen, HttpListen(None));
    }
    listen("[::1]:0").expect("loopback too");
    says(&refusal(listen("0.0.0.0:7412")), &["`http.listen`", "loopback", "`open = true`", "127.0.0.1:7412"]);
    load("[http]\nlisten = \"0.0.0.0:7412\"\nopen = true", &[], &[]).expect("said so");
    says(&refusal(listen("everywhere")), &["http.listen", "everywhere", "127.0.0.1:7412", "off"]);
    says(&refusal(load("[http]\nopne = true", &[], &[])), &["`http.opne`", "did you mean `http.open`"]);
}

#[test]
fn secrets_are_references_and_never_shown() {
    let plain = refusal(load("[stores.a]\nurl = \"x:y\"\nsecrets = {password = \"hunter2\"}", &[], &[]));
    says(&plain, &["stores.a.secrets.password", "env:NAME"]);
    assert!(!plain.contains("hunter2"), "{plain}");
    let store = "[stores.a]\nurl = \"mysql://me@db/shop\"\n";
    for (text, parts) in [
        ("[stores.a]\nurl = \"mysql://me:hunter2@db:3306/shop\"".to_owned(), ["stores.a", "secrets.password"]),
        ("[stores.a]\nurl = \"mysql://db/shop?password=hunter2\"".to_owned(), ["stores.a", "secrets.password"]),
        ("[stores.a]\nurl = \"hunter2\"".to_owned(), ["stores.a", "scheme"]),
        (format!("{store}options = {{ssl_password = \"hunter2\"}}"), ["options.ssl_password", "secrets.ssl_password"]),
        (format!("{store}secrets = \"hunter2\""), ["stores.a.secrets", "expected"]),
        (format!("{store}secrets = {{password = [\"hunter2\"]}}"), ["stores.a.secrets.password", "expected"]),
        (format!("{store}secrets = {{password = \"hunter2}}"), ["cannot be understood", "line 3"]),
        ("stores = \"hunter2\"".to_owned(), ["stores", "expected"]),
        ("[stores.a]\nurl = [\"hunter2\"]".to_owned(), ["stores.a.url", ""]),
        ("[tokens]\nops = \"hunter2\"".to_owned(), ["tokens.ops", "expected"]),
        ("[tokens.ops]\nrole = \"read\"\nfile = {a = \"hunter2\"}".to_owned(), ["tokens.ops.file", ""]),
    ] {
        let refusal = refusal(load(&text, &[], &[]));
        says(&refusal, &parts);
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }
    let variable = refusal(load(store, &[("WHIMBREL_STORES__A__SECRETS", "hunter2")], &[]));
    says(&variable, &["stores.a.secrets"]);
    assert!(!variable.contains("hunter2"), "{variable}");
}

#[test]
fn stores_with_impossible_names_or_urls_are_refused() {
    says(&refusal(load("[stores.Prod]\nurl = \"sqlite:/a\"", &[], &[])), &["stores.Prod", "lower-case"]);
    says(&refusal(load("[stores.a]\nurl = \"/a\"", &[], &[])), &["stores.a", "scheme"]);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let gone = Config::from_parts(Some(Path::new("/nowhere/whimbrel.toml")), HashMap::new(), &[]);
    says(&refusal(gone), &["/nowhere/whimbrel.toml", "cannot be read"]);
    let odd = Config::from_parts(Some(Path::new("/nowhere/whimbrel.ini")), HashMap::new(), &[]);
    says(&refusal(odd), &["whimbrel.ini", ".toml"]);
}

#[test]
fn every_shipped_job_file_is_good_and_tells_the_defaults() {
    let folder = Path::new(ROOT).join("config/jobs");
    let files: Vec<_> = fs::read_dir(&folder).expect("there").map(|entry| entry.expect("there").path()).collect();
    assert!(files.len() >= 5);
    for file in &files {
        let spec = job_from_file(file).expect("good");
        assert_eq!(spec.name, file.file_stem().expect("named").to_str().expect("UTF-8"));
    }
    let every = job_from_file(&folder.join("every-key.yaml")).expect("good");
    assert_eq!((every.copy, every.apply), (CopySettings::default(), ApplySettings::default()));
    assert_eq!((every.source.keyless, every.targets[0].existing), (Keyless::default(), Existing::default()));
    assert_eq!(every.source.rename["main.people"], "main.customers", "keys with dots stay whole");
}

#[test]
fn bad_job_files_are_refused_with_the_path() {
    let job = |text: &str| job_from_text(text, FileFormat::Yaml);
    let good = "name: a\nsource: {store: s}\ntargets: [{store: t}]\n";
    job(good).expect("good");
    says(&refusal(job(&format!("{good}colour: red"))), &["`colour`"]);
    says(
        &refusal(job(&good.replace("{store: t}", "{store: t, exsting: merge}"))),
        &["`targets[0].exsting`", "did you mean `targets[0].existing`"],
    );
    says(
        &refusal(job(&good.replace("{store: t}", "{store: t, existing: maybe}"))),
        &["`targets[0].existing`", "`maybe`", "refuse, merge, replace"],
    );
    says(
        &refusal(job(&good.replace("{store: s}", "{store: s, keyless: no}"))),
        &["`source.keyless`", "`no`", "refuse, exact, append"],
    );
    says(&refusal(job("name: a\nsource: {store: s}\n")), &["targets"]);
    says(&refusal(job(&format!("{good}copy: {{parallelism: many}}"))), &["copy.parallelism", "many"]);
}
