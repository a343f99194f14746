//! Lists: filters, pages that belong to one list, the audit trail.

use crate::support::{
    house::{House, spec},
    wait::eventually,
};
use whimbrel::{
    client::{Client, Code, Failure},
    control::v1::{
        ListHistoryRequest, ListJobsRequest, ListTablesRequest, job_service_client::JobServiceClient,
        store_service_client::StoreServiceClient,
    },
};

async fn names(client: &mut Client, filter: &str) -> Vec<String> {
    client.jobs_where(filter).await.expect(filter).into_iter().map(|job| job.name).collect()
}

#[tokio::test]
async fn a_filter_shows_the_jobs_that_meet_it() {
    let house = House::new().await;
    let mut client = house.client.clone();
    for (name, target, env) in [("orders-eu", "b", "prod"), ("orders-us", "c", "test"), ("users", "b", "prod")] {
        let mut spec = spec(name, &[target]);
        spec.labels = [("env".to_owned(), env.to_owned())].into();
        client.create_job(&spec, "").await.expect("created");
    }
    client.start_job("users").await.expect("started");
    client
        .wait_job(
            "users",
            whimbrel::client::Goal::State(whimbrel::client::ObservedState::Streaming),
            crate::support::wait::DEADLINE,
        )
        .await
        .expect("streams");
    for (filter, expected) in [
        ("", &["orders-eu", "orders-us", "users"] as &[&str]),
        ("state = STREAMING", &["users"]),
        ("state = CREATED AND labels.env = \"prod\"", &["orders-eu"]),
        ("name : \"orders-*\" AND target = c", &["orders-us"]),
        ("desired_state != RUN AND source = a", &["orders-eu", "orders-us"]),
        ("labels.none:*", &[]),
    ] {
        assert_eq!(names(&mut client, filter).await, expected, "{filter}");
    }
    let failure = client.jobs_where("size > 3").await.expect_err("no such field");
    assert_eq!((failure.code, failure.reason.as_str()), (Code::InvalidArgument, "INVALID_ARGUMENT"));
    assert!(failure.hint.is_some_and(|hint| hint.contains("labels.KEY")));
}

#[tokio::test]
async fn a_filtered_list_comes_in_pages() {
    let house = House::new().await;
    let mut client = house.client.clone();
    for n in 0..30 {
        let mut spec = spec(&format!("job-{n:02}"), &["b"]);
        spec.labels = [("parity".to_owned(), if n % 2 == 0 { "even" } else { "odd" }.to_owned())].into();
        client.create_job(&spec, "").await.expect("created");
    }
    let mut raw = JobServiceClient::connect(format!("http://{}", house.address)).await.expect("it listens");
    let filter = "labels.parity = odd".to_owned();
    let (mut seen, mut page_token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let request = ListJobsRequest { page_size: 4, page_token, filter: filter.clone() };
        let page = raw.list_jobs(request).await.expect("listed").into_inner();
        assert!(page.jobs.len() <= 4);
        seen.extend(page.jobs.into_iter().map(|job| job.name));
        (page_token, pages) = (page.next_page_token, pages + 1);
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, (0..30).filter(|n| n % 2 == 1).map(|n| format!("job-{n:02}")).collect::<Vec<_>>());
    assert_eq!(pages, 4);
}

#[tokio::test]
async fn a_page_token_is_good_for_its_own_list_only() {
    let house = House::new().await;
    let mut client = house.client.clone();
    for name in ["one", "three", "two"] {
        client.create_job(&spec(name, &["b"]), "").await.expect("created");
    }
    let address = format!("http://{}", house.address);
    let mut jobs = JobServiceClient::connect(address.clone()).await.expect("it listens");
    let mut stores = StoreServiceClient::connect(address).await.expect("it listens");
    let first = ListJobsRequest { page_size: 1, ..ListJobsRequest::default() };
    let page_token = jobs.list_jobs(first).await.expect("listed").into_inner().next_page_token;
    let first = ListHistoryRequest { page_size: 1, ..ListHistoryRequest::default() };
    let trail_token = jobs.list_history(first).await.expect("listed").into_inner().next_page_token;
    assert!(!page_token.is_empty() && !trail_token.is_empty());

    let filtered = ListJobsRequest { page_token: page_token.clone(), filter: "name = *".into(), page_size: 1 };
    let of_trail = ListJobsRequest { page_token: trail_token.clone(), ..ListJobsRequest::default() };
    let made_up = ListJobsRequest { page_token: "2".into(), ..ListJobsRequest::default() };
    let of_jobs = ListTablesRequest { name: "a".into(), page_token: page_token.clone(), page_size: 1 };
    let of_one = ListHistoryRequest { job: "one".into(), page_token: trail_token, page_size: 1 };
    for refused in [
        jobs.list_jobs(filtered).await.map(drop),
        jobs.list_jobs(of_trail).await.map(drop),
        jobs.list_jobs(made_up).await.map(drop),
        stores.list_tables(of_jobs).await.map(drop),
        jobs.list_history(of_one).await.map(drop),
    ] {
        let failure = Failure::from(refused.expect_err("another list's"));
        assert_eq!((failure.code, failure.reason.as_str()), (Code::InvalidArgument, "INVALID_ARGUMENT"));
        assert!(failure.text.contains("page_token") && failure.hint.is_some(), "{failure:?}");
    }
    let second = ListJobsRequest { page_size: 1, page_token, ..ListJobsRequest::default() };
    assert_eq!(jobs.list_jobs(second).await.expect("listed").into_inner().jobs[0].name, "three");
}

/// Some megabytes at a time, whatever number was asked for.
#[tokio::test]
async fn jobs_of_many_words_come_in_small_pages() {
    let house = House::new().await;
    let mut client = house.client.clone();
    for number in 0..30 {
        let mut spec = spec(&format!("long-{number:02}"), &["b"]);
        spec.source.tables = (0..1_000).map(|table| format!("main.{table:0>200}")).collect();
        client.create_job(&spec, "").await.expect("created");
    }
    let mut raw = JobServiceClient::connect(format!("http://{}", house.address)).await.expect("it listens");
    let first = raw.list_jobs(ListJobsRequest { page_size: 1000, ..Default::default() }).await.expect("listed");
    let first = first.into_inner();
    assert!((1..30).contains(&first.jobs.len()) && !first.next_page_token.is_empty(), "{}", first.jobs.len());
    assert_eq!(names(&mut client, "name : \"long-*\"").await.len(), 30, "all of them, page by page");
}

#[tokio::test]
async fn the_trail_tells_of_deleted_jobs_too_in_pages_that_newer_entries_do_not_shift() {
    let house = House::new().await;
    let mut client = house.client.clone();
    for name in ["gone", "stays"] {
        client.create_job(&spec(name, &["b"]), "").await.expect("created");
    }
    for _ in 0..12 {
        client.set_limits("gone", Default::default()).await.expect("set");
    }
    client.delete_job("gone").await.expect("deleting");
    client.wait_deleted("gone", crate::support::wait::DEADLINE).await.expect("gone");
    let trail = eventually("its end is written", async || {
        let trail = client.clone().history(Some("gone"), 100).await.expect("readable");
        (trail.len() == 15).then_some(trail)
    })
    .await;
    assert_eq!((trail[0].what.as_str(), trail[0].who.as_str()), ("deleted", "daemon"));
    assert_eq!(trail[14].what, "create");
    assert!(trail.iter().all(|entry| entry.job == "gone" && entry.job_uid == trail[0].job_uid));
    assert!(trail.windows(2).all(|pair| {
        let at = |index: usize| pair[index].time.map(|time| (time.seconds, time.nanos));
        at(0) >= at(1)
    }));

    let mut raw = JobServiceClient::connect(format!("http://{}", house.address)).await.expect("it listens");
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListHistoryRequest { page_size: 2, page_token, ..ListHistoryRequest::default() };
        let page = raw.list_history(request).await.expect("listed").into_inner();
        seen.extend(page.entries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
        client.set_limits("stays", Default::default()).await.expect("a newer entry");
    }
    let whole: Vec<_> = client.history(None, 1000).await.expect("readable");
    let older = &whole[whole.len() - seen.len()..];
    assert_eq!(seen, older, "each of the first entries once");
    assert!(client.history(Some("never-was"), 10).await.expect("readable").is_empty());
}
