//! The control API over gRPC: jobs, stores, health, reflection.

mod access;
pub mod convert;
mod filter;
mod health;
mod jobs;
mod shape;
mod stores;

pub use self::access::Access;

/// Generated from `proto/whimbrel/v1`.
pub mod v1 {
    #![allow(missing_docs, clippy::all, clippy::pedantic)]
    tonic::include_proto!("whimbrel.v1");
}

use crate::{
    error::{Error, Result},
    supervisor::Supervisor,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tower::ServiceBuilder;
use v1::{job_service_server::JobServiceServer, store_service_server::StoreServiceServer};

pub(crate) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/whimbrel.bin"));

/// A job file of a thousand globs is far below.
const REQUEST_BYTES: usize = 1 << 20;
/// A name, for health and reflection.
const QUESTION_BYTES: usize = 4 << 10;
/// A call that waits for stores answers or ends within this; streams go on. A request that does not come to its end is
/// held no longer either.
const ANSWERS_WITHIN: Duration = Duration::from_secs(120);
/// A token and what proxies add; a longer list of headers is refused.
const HEADER_BYTES: u32 = 16 << 10;
/// A page of a thousand jobs, or a job of ten thousand tables.
pub const ANSWER_BYTES: usize = 64 << 20;
/// Calls that one connection may have open; a watch is one.
const CALLS_PER_CONNECTION: u32 = 64;
/// A client that vanished without a word is noticed after this.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Open calls may end by themselves; then they are cut off.
const STOPS_WITHIN: Duration = Duration::from_secs(3);

/// The address it really listens on: port 0 takes a free one.
pub async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let fail = |error: std::io::Error| {
        let error_text = format!("cannot listen on {address}");
        Error::config(error_text).because(error).hint("is another daemon running? set `listen` to a free port")
    };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let bound = listener.local_addr().map_err(fail)?;
    Ok((listener, bound))
}

/// Answers until `stop`, whom `access` lets in.
pub async fn serve(
    listener: TcpListener,
    supervisor: Arc<Supervisor>,
    access: Arc<Access>,
    stop: CancellationToken,
) -> Result<()> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<JobServiceServer<jobs::Jobs>>().await;
    health.set_serving::<StoreServiceServer<stores::Stores>>().await;
    let jobs = JobServiceServer::new(jobs::Jobs { supervisor: Arc::clone(&supervisor), stop: stop.clone() });
    let stores = StoreServiceServer::new(stores::Stores { supervisor: Arc::clone(&supervisor), stop: stop.clone() });
    let broken = |error| Error::config("the compiled descriptors are broken").because(error);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .include_reflection_service(false)
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
            // So that tools can show the details of errors.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let server = Server::builder()
        .max_concurrent_streams(Some(CALLS_PER_CONNECTION))
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_max_header_list_size(HEADER_BYTES)
        .timeout(ANSWERS_WITHIN)
        .layer(access::Guard::new(Arc::clone(&access)))
        .layer(ServiceBuilder::new().map_response(shape::uniform).into_inner())
        .add_service(jobs.max_decoding_message_size(REQUEST_BYTES).max_encoding_message_size(ANSWER_BYTES))
        .add_service(stores.max_decoding_message_size(REQUEST_BYTES).max_encoding_message_size(ANSWER_BYTES))
        // Asked by whoever comes, without a token.
        .add_service(health_service.max_decoding_message_size(QUESTION_BYTES))
        // Both: many tools still ask for v1alpha.
        .add_service(reflection().build_v1().map_err(broken)?.max_decoding_message_size(QUESTION_BYTES))
        .add_service(reflection().build_v1alpha().map_err(broken)?.max_decoding_message_size(QUESTION_BYTES))
        .serve_with_incoming_shutdown(access::incoming(listener, access, stop.clone()), stop.clone().cancelled_owned());
    let cut_off = async {
        stop.cancelled().await;
        tokio::time::sleep(STOPS_WITHIN).await;
    };
    tokio::select! {
        served = server => served.map_err(|error| Error::transient("the control API failed").because(error)),
        () = cut_off => Ok(()),
        never = health::tell(health, &supervisor) => match never {},
    }
}
