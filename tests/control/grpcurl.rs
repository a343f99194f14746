//! The control API through the real grpcurl: what an operator types, and what they see.

use crate::support::{
    house::{House, people, spec, table},
    tools::tool,
};
use std::{
    io::{BufRead, BufReader},
    process::{Output, Stdio},
};
use whimbrel::{control::v1::ObservedState, model::Value};

/// Runs beside the daemon's own tasks.
async fn grpcurl(house: &House, arguments: &[&str]) -> Output {
    let mut command = tool("grpcurl");
    command.arg("-plaintext");
    if let [.., request, _method] = arguments
        && request.starts_with('{')
    {
        command.args(["-d", request]);
    }
    command.arg(house.address.to_string());
    command.args(arguments.iter().filter(|argument| !argument.starts_with('{')));
    tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("no panic")
}

async fn says(house: &House, arguments: &[&str]) -> String {
    let output = grpcurl(house, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

async fn json(house: &House, arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&says(house, arguments).await).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_describes() {
    let house = House::new().await;
    let services = says(&house, &["list"]).await;
    for service in ["whimbrel.v1.JobService", "whimbrel.v1.StoreService", "grpc.health.v1.Health"] {
        assert!(services.lines().any(|line| line == service), "{service} is missing in {services}");
    }
    let described = says(&house, &["describe", "whimbrel.v1.JobService"]).await;
    assert!(described.contains("rpc CreateJob") && described.contains("// Saves a job."), "{described}");
    let described = says(&house, &["describe", "whimbrel.v1.SourceSpec.tables"]).await;
    assert!(described.contains("Globs of schema.table"), "{described}");
    let health = json(&house, &["grpc.health.v1.Health/Check"]).await;
    assert_eq!(health["status"], "SERVING");
    for version in ["v1", "v1alpha"] {
        let service = format!("grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        let answer = json(&house, &[r#"{"list_services":""}"#, &service]).await;
        assert!(answer["listServicesResponse"]["service"].is_array(), "{version}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn creates_starts_watches_and_pauses() {
    let house = House::new().await;
    let create = r#"{"spec":{"name":"people","source":{"store":"a","tables":["main.*"]},"targets":[{"store":"b"}]}}"#;
    let job = json(&house, &[create, "whimbrel.v1.JobService/CreateJob"]).await;
    assert_eq!(
        (&job["desiredState"], &job["spec"]["targets"][0]["existing"]),
        (&"DESIRED_STATE_CREATED".into(), &"EXISTING_REFUSE".into())
    );
    let name = r#"{"name":"people"}"#;

    let mut watch = tool("grpcurl");
    watch.args(["-plaintext", "-d", name, &house.address.to_string(), "whimbrel.v1.JobService/WatchJob"]);
    let mut watch = watch.stdout(Stdio::piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(watch.stdout.take().expect("piped")).lines().map_while(Result::ok);
    json(&house, &[name, "whimbrel.v1.JobService/StartJob"]).await;
    let seen = tokio::task::spawn_blocking(move || lines.any(|line| line.contains("OBSERVED_STATE_STREAMING")));
    assert!(seen.await.expect("no panic"), "the watch ended");
    watch.kill().expect("ours");
    watch.wait().expect("ours");

    house.has_people("b", 100).await;
    let limits = r#"{"name":"people","limits":{"rowsPerS":"1000"}}"#;
    let job = json(&house, &[limits, "whimbrel.v1.JobService/SetLimits"]).await;
    assert_eq!(job["spec"]["copy"]["limits"]["rowsPerS"], "1000");
    json(&house, &[name, "whimbrel.v1.JobService/PauseJob"]).await;
    house.job_is("people", ObservedState::Paused).await;
    let job = json(&house, &[name, "whimbrel.v1.JobService/GetJob"]).await;
    assert_eq!(job["status"]["observedState"], "OBSERVED_STATE_PAUSED");
    let jobs = json(&house, &["whimbrel.v1.JobService/ListJobs"]).await;
    assert_eq!(jobs["jobs"].as_array().map(Vec::len), Some(1));
    json(&house, &[name, "whimbrel.v1.JobService/DeleteJob"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sees_stores_and_their_tables() {
    let house = House::new().await;
    let stores = json(&house, &["whimbrel.v1.StoreService/ListStores"]).await;
    assert_eq!(stores["stores"][0]["name"], "a");
    let tables = json(&house, &[r#"{"name":"a"}"#, "whimbrel.v1.StoreService/ListTables"]).await;
    assert_eq!(tables["tables"][0]["name"], "main.people");
    let checked = json(&house, &[r#"{"name":"a"}"#, "whimbrel.v1.StoreService/CheckStore"]).await;
    assert_eq!(checked["ok"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_come_with_their_code_reason_and_hint() {
    let house = House::new().await;
    let failed = grpcurl(&house, &[r#"{"name":"nope"}"#, "whimbrel.v1.JobService/GetJob"]).await;
    let text = String::from_utf8(failed.stderr).expect("UTF-8");
    for part in ["NotFound", "no job `nope`", "JOB_NOT_FOUND", "whimbrel status"] {
        assert!(text.contains(part), "`{part}` is missing in {text}");
    }
    let bad = r#"{"spec":{"name":"No","source":{"store":"a"},"targets":[{"store":"b"}]}}"#;
    let failed = grpcurl(&house, &[bad, "whimbrel.v1.JobService/CreateJob"]).await;
    let text = String::from_utf8(failed.stderr).expect("UTF-8");
    for part in ["InvalidArgument", "lower-case letters", "BadRequest"] {
        assert!(text.contains(part), "`{part}` is missing in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistyped_requests_are_named() {
    let house = House::new().await;
    for (request, part) in [(r#"{"nmae":"people"}"#, "nmae"), (r#"{"name":5}"#, "string"), (r#"{"name":"#, "EOF")] {
        let failed = grpcurl(&house, &[request, "whimbrel.v1.JobService/GetJob"]).await;
        let text = String::from_utf8(failed.stderr).expect("UTF-8");
        assert!(!failed.status.success() && text.contains(part), "`{part}` is missing in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_updates_and_tells_who_did_it() {
    let house = House::new().await;
    let spec = r#"{"spec":{"name":"people","source":{"store":"a"},"targets":[{"store":"b"}]}}"#;
    let plan = json(&house, &[spec, "whimbrel.v1.JobService/PlanJob"]).await;
    assert_eq!((&plan["ok"], &plan["tables"][0]["name"]), (&true.into(), &"main.people".into()));
    json(&house, &[spec, "whimbrel.v1.JobService/CreateJob"]).await;
    let update =
        r#"{"job":{"name":"people","spec":{"apply":{"lanes":2}}},"update_mask":{"paths":["spec.apply.lanes"]}}"#;
    let job = json(&house, &[update, "whimbrel.v1.JobService/UpdateJob"]).await;
    assert_eq!(job["spec"]["apply"]["lanes"], 2);
    let pause = r#"{"name":"people","max_pause":"3600s"}"#;
    json(&house, &[pause, "whimbrel.v1.JobService/PauseJob"]).await;
    let filter = r#"{"filter":"state = CREATED AND name : \"peo*\""}"#;
    let jobs = json(&house, &[filter, "whimbrel.v1.JobService/ListJobs"]).await;
    assert_eq!(jobs["jobs"].as_array().map(Vec::len), Some(1));
    let trail = json(&house, &[r#"{"job":"people"}"#, "whimbrel.v1.JobService/ListHistory"]).await;
    assert_eq!((&trail["entries"][0]["what"], &trail["entries"][1]["what"]), (&"pause".into(), &"update".into()));
    let left = json(&house, &[r#"{"name":"a"}"#, "whimbrel.v1.StoreService/ListLeftovers"]).await;
    assert_eq!(left["leftovers"], serde_json::Value::Null);
    let battery = r#"{"name":"b","role":"ROLE_TARGET","checks":["epochs"]}"#;
    let result = json(&house, &[battery, "whimbrel.v1.StoreService/CertifyStore"]).await;
    assert_eq!(result["outcome"], "CHECK_OUTCOME_PASSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_shows_what_to_do() {
    let house = House::new().await;
    house.world("b").create(people());
    house.world("b").transact(|t| t.insert(&table(), vec![Value::Int(7), Value::Null])).expect("new");
    house.client.clone().create_job(&spec("people", &["b"]), "").await.expect("created");
    house.client.clone().start_job("people").await.expect("started");
    house.job_is("people", ObservedState::Failed).await;
    let job = json(&house, &[r#"{"name":"people"}"#, "whimbrel.v1.JobService/GetJob"]).await;
    let error = &job["status"]["error"];
    assert_eq!(error["kind"], "ERROR_KIND_CONFIG");
    assert!(error["hint"].as_str().is_some_and(|hint| hint.contains("existing")), "{error}");
}
