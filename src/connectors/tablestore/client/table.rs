//! Tables.

use super::{Client, given};
use crate::connectors::tablestore::{
    failure::{Answer, Failure},
    messages::table::{
        CreateTableRequest, DescribeTableResponse, Done, ListTableRequest, ListTableResponse, SplitPointsRequest,
        SplitPointsResponse, TableMeta, TableName, TableOptions, UpdateTableRequest, UpdateTableResponse,
    },
    operation::{CREATE_TABLE, DELETE_TABLE, DESCRIBE_TABLE, LIST_TABLE, SPLIT_POINTS, UPDATE_TABLE},
    split::{self, KeyRange},
};

impl Client {
    /// Their names; those of indexes may be among them.
    pub async fn list_tables(&self) -> Answer<Vec<String>> {
        let answer: ListTableResponse = self.ask(LIST_TABLE, &ListTableRequest {}).await?;
        Ok(answer.table_names)
    }

    /// It may take a while until it is ready: until then reads fail with `OTSTableNotReady`.
    pub async fn create_table(&self, request: &CreateTableRequest) -> Answer<()> {
        self.ask(CREATE_TABLE, request).await.map(|Done {}| ())
    }

    /// Fails with [`code::NO_SUCH`](super::super::failure::code::NO_SUCH) where there is none.
    pub async fn describe_table(&self, table: &str) -> Answer<(TableMeta, TableOptions, DescribeTableResponse)> {
        let request = TableName { table_name: table.to_owned() };
        let mut answer: DescribeTableResponse = self.ask(DESCRIBE_TABLE, &request).await?;
        let meta = given(DESCRIBE_TABLE, answer.table_meta.take(), "table_meta")?;
        let options = given(DESCRIBE_TABLE, answer.table_options.take(), "table_options")?;
        Ok((meta, options, answer))
    }

    pub async fn update_table(&self, request: &UpdateTableRequest) -> Answer<UpdateTableResponse> {
        self.ask(UPDATE_TABLE, request).await
    }

    pub async fn delete_table(&self, table: &str) -> Answer<()> {
        self.ask(DELETE_TABLE, &TableName { table_name: table.to_owned() }).await.map(|Done {}| ())
    }

    /// Ranges of about so many times 100 MB, in ascending order, that are together the whole table.
    pub async fn split_points(&self, table: &str, hundred_mb: i64) -> Answer<Vec<KeyRange>> {
        let request = SplitPointsRequest {
            table_name: table.to_owned(),
            split_size: hundred_mb,
            ..SplitPointsRequest::default()
        };
        let answer: SplitPointsResponse = self.ask(SPLIT_POINTS, &request).await?;
        split::ranges(&answer).map_err(|corrupt| Failure::spoiled(SPLIT_POINTS, corrupt.to_string()))
    }
}
