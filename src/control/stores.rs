//! `whimbrel.v1.StoreService`.

use super::{
    convert::{self, who},
    v1::{
        CertifyStoreRequest, CertifyStoreResponse, CheckStoreRequest, CheckStoreResponse, GetStoreRequest,
        ListLeftoversRequest, ListLeftoversResponse, ListStoresRequest, ListStoresResponse, ListTablesRequest,
        ListTablesResponse, ReloadStoresRequest, ReloadStoresResponse, Role, Store, store_service_server::StoreService,
    },
};
use crate::supervisor::Supervisor;
use futures_util::{Stream, stream};
use std::{pin::Pin, sync::Arc};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

pub struct Stores {
    pub supervisor: Arc<Supervisor>,
    pub stop: CancellationToken,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl StoreService for Stores {
    async fn list_stores(&self, _: Request<ListStoresRequest>) -> Answer<ListStoresResponse> {
        let jobs = self.supervisor.records();
        let stores = self.supervisor.stores().list();
        let stores = stores.iter().map(|(name, config)| convert::store(name, config, &jobs)).collect();
        Ok(Response::new(ListStoresResponse { stores }))
    }

    async fn get_store(&self, request: Request<GetStoreRequest>) -> Answer<Store> {
        let name = request.into_inner().name;
        let config = self.supervisor.stores().config(&name).map_err(convert::status)?;
        let jobs = self.supervisor.records();
        Ok(Response::new(convert::store(&name, &config, &jobs)))
    }

    async fn check_store(&self, request: Request<CheckStoreRequest>) -> Answer<CheckStoreResponse> {
        let request = request.into_inner();
        let findings = match convert::role_from(request.role)? {
            Role::Target => self.supervisor.check_target(&request.name).await,
            _ => self.supervisor.check_source(&request.name, &request.tables).await,
        };
        Ok(Response::new(convert::checked(&findings.map_err(convert::status)?)))
    }

    async fn list_tables(&self, request: Request<ListTablesRequest>) -> Answer<ListTablesResponse> {
        let request = request.into_inner();
        let (tables, findings) = self.supervisor.tables(&request.name).await.map_err(convert::status)?;
        Ok(Response::new(convert::tables(&tables, &findings, &request)?))
    }

    type CertifyStoreStream = Pin<Box<dyn Stream<Item = Result<CertifyStoreResponse, Status>> + Send>>;

    async fn certify_store(&self, request: Request<CertifyStoreRequest>) -> Answer<Self::CertifyStoreStream> {
        let (who, request) = (who(&request), request.into_inner());
        let is_target = convert::role_from(request.role)? == Role::Target;
        let battery = self.supervisor.certify(&request.name, is_target, &request.checks, &who).await;
        let running = Some((battery.map_err(convert::status)?, 0, self.stop.clone()));
        let messages = stream::unfold(running, |running| async move {
            let (battery, done, stop) = running?;
            let check = *battery.checks.get(done)?;
            tokio::select! {
                report = battery.run(check) => {
                    let line = report.lines.first()?;
                    Some((Ok(convert::certified(line, done + 1, battery.checks.len())), Some((battery, done + 1, stop))))
                }
                () = stop.cancelled() => Some((Err(convert::stopping()), None)),
            }
        });
        Ok(Response::new(Box::pin(messages)))
    }

    async fn reload_stores(&self, request: Request<ReloadStoresRequest>) -> Answer<ReloadStoresResponse> {
        let reloaded = self.supervisor.reload_stores(&who(&request)).await.map_err(convert::status)?;
        Ok(Response::new(convert::reloaded(reloaded)))
    }

    async fn list_leftovers(&self, request: Request<ListLeftoversRequest>) -> Answer<ListLeftoversResponse> {
        let left = self.supervisor.leftovers(&request.into_inner().name).await.map_err(convert::status)?;
        Ok(Response::new(ListLeftoversResponse { leftovers: left.into_iter().map(convert::leftover).collect() }))
    }
}
