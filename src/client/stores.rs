//! The calls about stores.

use super::{
    Answer, CertifyStoreResponse, CheckStoreResponse, Client, Failure, Leftover, ReloadStoresResponse, Role, Store,
    Table,
};
use crate::control::v1::{
    CertifyStoreRequest, CheckStoreRequest, GetStoreRequest, ListLeftoversRequest, ListStoresRequest,
    ListTablesRequest, ReloadStoresRequest,
};
use futures_util::{Stream, StreamExt};

impl Client {
    /// All stores of the daemon's config. Connects to none.
    pub async fn all_stores(&mut self) -> Answer<Vec<Store>> {
        Ok(self.stores.list_stores(ListStoresRequest {}).await?.into_inner().stores)
    }

    pub async fn store(&mut self, name: &str) -> Answer<Store> {
        Ok(self.stores.get_store(GetStoreRequest { name: name.to_owned() }).await?.into_inner())
    }

    /// What stands in the way of a job with this store, and what a job would create. Writes nothing.
    pub async fn check_store(&mut self, name: &str, role: Role, tables: &[String]) -> Answer<CheckStoreResponse> {
        let request = CheckStoreRequest { name: name.to_owned(), role: role.into(), tables: tables.to_vec() };
        Ok(self.stores.check_store(request).await?.into_inner())
    }

    /// All of them, page after page.
    pub async fn all_tables(&mut self, store: &str) -> Answer<Vec<Table>> {
        let (mut tables, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListTablesRequest { name: store.to_owned(), page_size: 0, page_token };
            let page = self.stores.list_tables(request).await?.into_inner();
            tables.extend(page.tables);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(tables);
            }
        }
    }

    /// Runs the battery on scratch tables beside the store: each check's result as soon as it is there. `checks`: only
    /// these; none means all. Dropping the stream stops it.
    pub async fn certify_store(
        &mut self,
        name: &str,
        role: Role,
        checks: &[&str],
    ) -> Answer<impl Stream<Item = Answer<CertifyStoreResponse>> + Send + Unpin + use<>> {
        let checks = checks.iter().map(|check| (*check).to_owned()).collect();
        let request = CertifyStoreRequest { name: name.to_owned(), role: role.into(), checks };
        let results = self.stores.certify_store(request).await?.into_inner();
        Ok(results.map(|result| result.map_err(Failure::from)))
    }

    /// Has the daemon read the stores of its config file again.
    pub async fn reload_stores(&mut self) -> Answer<ReloadStoresResponse> {
        Ok(self.stores.reload_stores(ReloadStoresRequest {}).await?.into_inner())
    }

    /// What of ours is in the store and belongs to no job of the daemon, with what removes it.
    pub async fn leftovers(&mut self, store: &str) -> Answer<Vec<Leftover>> {
        let request = ListLeftoversRequest { name: store.to_owned() };
        Ok(self.stores.list_leftovers(request).await?.into_inner().leftovers)
    }
}
