//! Connections that nobody can listen to, to the server that is meant.

use super::reading::settings;
use crate::{
    security::authority,
    support::mysql::{Kind, Server},
};
use std::{fs, path::Path};
use whimbrel::{
    connectors::{self, StoreSettings},
    error::{ErrorKind, Result},
    model::Table,
};

async fn tables(settings: &StoreSettings) -> Result<Vec<std::sync::Arc<Table>>> {
    Ok(connectors::open(settings)?.source()?.tables().await?.0)
}

fn written(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).expect("ours");
    path.display().to_string()
}

#[tokio::test]
async fn the_servers_certificate_is_looked_at_as_configured() {
    for kind in [Kind::Mariadb, Kind::Mysql] {
        is_looked_at(kind).await;
    }
}

async fn is_looked_at(kind: Kind) {
    let mut server = Server::of(kind, &[]);
    server.sql("CREATE TABLE t (id INT PRIMARY KEY)");
    let folder = server.path().to_owned();
    let (ours, others) = (authority::Authority::new("ours"), authority::Authority::new("others"));
    let (of_server, of_client) = (ours.issue("server", authority::GOOD), ours.issue("client", authority::GOOD));
    let ca = written(&folder, "ca.pem", &ours.pem());
    let wrong = written(&folder, "wrong.pem", &others.pem());
    let cert = written(&folder, "client.pem", &of_client.certificate);
    let key = written(&folder, "client.key", &of_client.key);
    server.set_flags(&[
        &format!("--ssl-ca={ca}"),
        &format!("--ssl-cert={}", written(&folder, "server.pem", &of_server.certificate)),
        &format!("--ssl-key={}", written(&folder, "server.key", &of_server.key)),
        // The second is not in the certificate.
        "--bind-address=127.0.0.1,127.0.0.2",
    ]);
    server.restart();
    server.sql(
        "CREATE USER safe@'%' IDENTIFIED BY 'secret' REQUIRE SSL; GRANT SELECT ON *.* TO safe@'%'; \
         CREATE USER known@'%' IDENTIFIED BY 'secret' REQUIRE X509; GRANT SELECT ON *.* TO known@'%'",
    );
    let with = |user: &str, host: &str, options: &[(&str, &str)]| {
        let mut settings = settings(&server, user);
        settings.url = settings.url.replace("127.0.0.1", host);
        settings.options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        settings
    };
    let (here, elsewhere) = ("127.0.0.1", "127.0.0.2");
    for good in [
        with("safe", here, &[("tls", "verify"), ("ca", &ca)]),
        with("safe", elsewhere, &[("tls", "verify"), ("ca", &ca), ("tls_name", "localhost")]),
        with("safe", elsewhere, &[("tls", "encrypt")]),
        with("known", here, &[("tls", "verify"), ("ca", &ca), ("cert", &cert), ("key", &key)]),
    ] {
        assert_eq!(tables(&good).await.unwrap_or_else(|error| panic!("{:?}: {error:?}", good.options)).len(), 1);
    }
    for bad in [
        with("safe", here, &[("tls", "off")]),
        with("safe", here, &[("tls", "verify")]),
        with("safe", here, &[("tls", "verify"), ("ca", &wrong)]),
        with("safe", elsewhere, &[("tls", "verify"), ("ca", &wrong), ("tls_name", "localhost")]),
        with("safe", elsewhere, &[("tls", "verify"), ("ca", &ca)]),
        with("known", here, &[("tls", "verify"), ("ca", &ca)]),
        with("safe", here, &[("tls", "verify"), ("ca", "/nowhere.pem")]),
    ] {
        let refused = tables(&bad).await.expect_err(&format!("{:?}", bad.options));
        assert_eq!(refused.kind(), ErrorKind::Config, "{:?}: {refused:?}", bad.options);
        assert!(refused.hint_text().is_some(), "{refused:?}");
    }
}

/// Its TLS is older than any that is safe today.
#[tokio::test]
async fn an_old_server_is_reached_without_encryption_only_and_says_so() {
    let server = Server::of(Kind::Mysql56, &[]);
    server.sql("CREATE TABLE t (id INT PRIMARY KEY)");
    for tls in ["encrypt", "verify"] {
        let mut settings = settings(&server, "reader");
        settings.options = [("tls".to_owned(), tls.to_owned())].into();
        let refused = tables(&settings).await.expect_err(tls);
        assert_eq!(refused.kind(), ErrorKind::Config, "{tls}: {refused:?}");
        assert!(refused.hint_text().is_some_and(|hint| hint.contains("tls")), "{refused:?}");
    }
    assert_eq!(tables(&settings(&server, "reader")).await.expect("readable").len(), 1);
}
