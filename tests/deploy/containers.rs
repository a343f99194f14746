//! Image, compose file and manifests: no engine runs them here, so their flags, paths, ports and probes are held
//! against the binary.

use super::{path, read};
use crate::support::{
    daemon::{Home, whimbrel},
    http::get,
};
use serde_json::Value;
use std::{collections::HashMap, fs, net::SocketAddr, path::Path, process::Command};
use whimbrel::{config::Config, model};

fn yaml(name: &str) -> Value {
    let file = config::File::from_str(&read(name), config::FileFormat::Yaml);
    let read = config::Config::builder().add_source(file).build().unwrap_or_else(|error| panic!("{name}: {error}"));
    read.try_deserialize().expect("plain")
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|word| word.as_str().expect("text")).collect()
}

/// `serve` and flags that it has; the last word of each flag is a full path.
#[track_caller]
fn is_a_command(words: &[&str]) {
    let help = whimbrel().args(["serve", "--help"]).output().expect("it runs").stdout;
    let help = String::from_utf8(help).expect("UTF-8");
    let (verb, flags) = words.split_first().expect("a command");
    assert_eq!(*verb, "serve");
    for pair in flags.chunks(2) {
        assert!(help.contains(&format!("{} <", pair[0])), "`serve` has no {}", pair[0]);
        assert!(pair[1].starts_with('/'), "{pair:?}");
    }
}

fn load(text: &str) -> Config {
    let folder = tempfile::tempdir().expect("a temp folder");
    let file = folder.path().join("whimbrel.toml");
    fs::write(&file, text).expect("ours");
    Config::from_parts(Some(&file), HashMap::new(), &[]).expect("good settings")
}

/// As whoever asks from outside must find it, with the API inside.
#[track_caller]
fn is_for_a_container(config: &Config) -> u16 {
    assert!(config.listen.ip().is_loopback(), "the API");
    let http: SocketAddr = config.http.listen.0.expect("probes need it");
    assert!(http.ip().is_unspecified() && config.http.open, "probes come from outside");
    assert_eq!(http.port(), Config::default().http.listen.0.expect("on").port());
    http.port()
}

#[test]
fn the_image_runs_what_the_binary_takes_without_root() {
    let file = read("deploy/Dockerfile");
    let line = |word: &str| file.lines().filter_map(|line| line.strip_prefix(word)).next_back().expect(word).trim();
    assert_eq!(line("ENTRYPOINT "), "[\"/usr/local/bin/whimbrel\"]");
    let command: Value = serde_json::from_str(line("CMD ")).expect("the form of a list");
    is_a_command(&words(&command));
    assert_eq!(line("USER "), "10001:10001");
    assert!(file.contains("--uid 10001"));
    let config = load(&read("deploy/container/whimbrel.toml"));
    assert_eq!(line("EXPOSE "), is_for_a_container(&config).to_string());
    assert_eq!(config.state.dir, Path::new(line("VOLUME ")));
    assert!(file.contains("COPY deploy/container/whimbrel.toml /etc/whimbrel/whimbrel.toml"));
    assert!(words(&command).contains(&"/etc/whimbrel/whimbrel.toml"));
}

#[test]
fn what_the_image_is_built_from_is_all_that_cargo_needs() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let kept = read(".dockerignore");
    for line in read("deploy/Dockerfile").lines().filter_map(|line| line.strip_prefix("COPY ")) {
        let Some((sources, _)) = line.rsplit_once(' ').filter(|_| !line.starts_with("--from")) else { continue };
        for source in sources.split(' ') {
            let is_kept = kept.lines().any(|line| line.strip_prefix('!').is_some_and(|kept| source.starts_with(kept)));
            assert!(is_kept && path(source).exists(), "{source}");
            let copied = Command::new("cp")
                .arg("-r")
                .arg("--parents")
                .arg(source)
                .arg(folder.path())
                .current_dir(path(""))
                .status();
            assert!(copied.expect("cp").success());
        }
    }
    // As the Dockerfile does.
    assert!(read("deploy/Dockerfile").contains("mkdir -p tests/bench && touch tests/main.rs tests/bench/row.rs"));
    fs::create_dir_all(folder.path().join("tests/bench")).expect("ours");
    for file in ["tests/main.rs", "tests/bench/row.rs"] {
        fs::write(folder.path().join(file), "").expect("ours");
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // For this kind of machine: crates of others are not downloaded.
    let known = Command::new(cargo)
        .args(["tree", "--offline", "--locked", "--prefix", "none"])
        .current_dir(folder.path())
        .output()
        .expect("cargo");
    assert!(known.status.success(), "{}", String::from_utf8_lossy(&known.stderr));
    // What the source reads while it is compiled is below `src` and `proto`.
    for file in ["src/http/page/index.html", "proto/build.rs", "proto/whimbrel/v1/job.proto"] {
        assert!(folder.path().join(file).exists(), "{file}");
    }
}

#[test]
fn the_compose_file_names_what_is_there() {
    let compose = yaml("deploy/compose.yaml");
    let daemon = &compose["services"]["whimbrel"];
    is_a_command(&words(&daemon["command"]));
    assert!(
        path("deploy").join(daemon["build"]["context"].as_str().expect("a path")).join("deploy/Dockerfile").exists()
    );
    assert_eq!(daemon["build"]["dockerfile"], "deploy/Dockerfile");
    assert_eq!(words(&daemon["ports"]), ["127.0.0.1:7412:7412"]);
    assert_eq!((&daemon["user"], &daemon["read_only"]), (&"10001:10001".into(), &true.into()));
    let mut environment = HashMap::new();
    for (name, value) in daemon["environment"].as_object().expect("variables") {
        environment.insert(name.to_uppercase(), value.as_str().expect("text").to_owned());
    }
    Config::from_parts(None, environment, &[]).expect("settings that the daemon knows");
    let check = words(&daemon["healthcheck"]["test"]);
    assert_eq!(check, ["CMD", "whimbrel", "status"]);
    let home = Home::new(&[]);
    let answer = home.serve().ask(&check[2..]);
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let prometheus = &compose["services"]["prometheus"];
    for mount in words(&prometheus["volumes"]) {
        let file = mount.split(':').next().expect("a path");
        assert!(path("deploy").join(file).exists(), "{file}");
    }
    // Over the network, where nothing can be changed: not on the loopback that the daemon trusts.
    assert_eq!(prometheus["network_mode"], Value::Null);
    let scraped = yaml("deploy/container/prometheus.yml")["scrape_configs"][0]["static_configs"][0]["targets"].clone();
    assert_eq!(words(&scraped), ["whimbrel:7412"]);
}

#[test]
fn the_manifests_agree_with_each_other_and_with_the_binary() {
    for file in words(&yaml("deploy/kubernetes/kustomization.yaml")["resources"]) {
        assert!(path("deploy/kubernetes").join(file).exists(), "{file}");
    }
    let settings = yaml("deploy/kubernetes/config.yaml");
    let config = load(settings["data"]["whimbrel.toml"].as_str().expect("settings"));
    let port = is_for_a_container(&config);
    let set = yaml("deploy/kubernetes/statefulset.yaml");
    assert_eq!(set["spec"]["replicas"], 1, "a state folder belongs to one daemon");
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let container = &pod["containers"][0];
    is_a_command(&words(&container["args"]));
    assert_eq!(container["ports"][0]["containerPort"], port);
    assert_eq!(container["ports"][0]["name"], "http");
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    // What the daemon writes and reads is mounted, from volumes that are there.
    let mounts = container["volumeMounts"].as_array().expect("mounts");
    let claims = set["spec"]["volumeClaimTemplates"].as_array().expect("claims");
    let volumes = pod["volumes"].as_array().expect("volumes");
    for mount in mounts {
        let is_there = volumes.iter().any(|volume| volume["name"] == mount["name"])
            || claims.iter().any(|claim| claim["metadata"]["name"] == mount["name"]);
        assert!(is_there, "{mount}");
    }
    // What is mounted as a file never changes, and nothing can be mounted inside of what is read-only.
    for (mount, path) in mounts.iter().map(|mount| (mount, mount["mountPath"].as_str().expect("a path"))) {
        assert_eq!(mount["subPath"], Value::Null, "{path}");
        let is_inside = |other: &Value| {
            let rest = other["mountPath"].as_str().and_then(|other| other.strip_prefix(path));
            mount["readOnly"] == true && rest.is_some_and(|rest| rest.starts_with('/'))
        };
        assert!(!mounts.iter().any(is_inside), "{path}");
    }
    // Kubernetes would set this for a service called whimbrel-web.
    let links = HashMap::from([("WHIMBREL_WEB_PORT".to_owned(), "tcp://10.0.0.1:80".to_owned())]);
    assert!(Config::from_parts(None, links, &[]).is_err(), "then they would do no harm");
    assert_eq!(pod["enableServiceLinks"], false);
    for written in words(&container["args"]).iter().filter(|word| word.starts_with('/')) {
        let is_mounted = |mount: &Value| written.starts_with(mount["mountPath"].as_str().expect("a path"));
        assert!(mounts.iter().any(is_mounted), "{written}");
    }
    let home = Home::new(&[]);
    let daemon = home.serve();
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let probe = &container[probe]["httpGet"];
        assert_eq!(probe["port"], "http");
        assert_eq!(get(&daemon.http, probe["path"].as_str().expect("a path")).code, 200, "{probe}");
    }
    let limit = container["resources"]["limits"]["memory"].as_str().and_then(|limit| limit.strip_suffix("Mi"));
    let limit: u64 = limit.and_then(|limit| limit.parse().ok()).expect("a bound");
    let row_mib = model::ApplySettings::default().max_row_bytes >> 20;
    assert!(limit >= u64::from(config.memory.rows_in_flight_mib) + 64 + 3 * row_mib, "the bound that config/ tells");
    let service = yaml("deploy/kubernetes/service.yaml");
    assert_eq!(service["spec"]["ports"][0]["port"], port);
    assert_eq!(service["metadata"]["annotations"]["prometheus.io/port"], port.to_string());
    assert_eq!(service["spec"]["selector"], set["spec"]["selector"]["matchLabels"]);
    assert_eq!(set["spec"]["selector"]["matchLabels"], set["spec"]["template"]["metadata"]["labels"]);
    assert_eq!(set["spec"]["serviceName"], service["metadata"]["name"]);
    assert_eq!(yaml("deploy/kubernetes/networkpolicy.yaml")["spec"]["ingress"][0]["ports"][0]["port"], "http");
}
