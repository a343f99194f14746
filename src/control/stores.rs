//! `whimbrel.v1.StoreService`.

use super::{
    convert,
    v1::{
        CheckStoreRequest, CheckStoreResponse, ListStoresRequest, ListStoresResponse, ListTablesRequest,
        ListTablesResponse, Role, store_service_server::StoreService,
    },
};
use crate::supervisor::Supervisor;
use std::sync::Arc;
use tonic::{Request, Response, Status};

pub struct Stores {
    pub supervisor: Arc<Supervisor>,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl StoreService for Stores {
    async fn list_stores(&self, _: Request<ListStoresRequest>) -> Answer<ListStoresResponse> {
        let stores = self.supervisor.stores().list().map(|(name, config)| convert::store(name, config));
        Ok(Response::new(ListStoresResponse { stores: stores.collect() }))
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
        let limit = convert::page_size(request.page_size)?;
        let (tables, findings) = self.supervisor.tables(&request.name).await.map_err(convert::status)?;
        Ok(Response::new(convert::tables(&tables, &findings, &request.page_token, limit)))
    }
}
