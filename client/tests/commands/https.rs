//! A daemon behind HTTPS.

use std::{fs, sync::Arc};

use client::Exit;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::{command, command_with};

/// Returns an acceptor for `localhost`, and its certificate in PEM.
fn acceptor() -> (TlsAcceptor, String) {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let pem = pem::encode(&pem::Pem::new("CERTIFICATE", certificate.der().to_vec()));
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), pem)
}

/// Guards that a private certificate authority is trusted if it is named, and only for the names of its certificate.
#[tokio::test]
async fn a_certificate_authority_is_trusted_if_it_is_named() {
    let (acceptor, pem) = acceptor();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // The client refuses some of the handshakes.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let body = r#"{"sandboxes":[],"count":0}"#;
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}",
                body.len()
            );
            let _ = stream.write_all(format!("{head}\r\nconnection: close\r\n\r\n{body}").as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    let file = std::env::temp_dir().join(format!("client-https-{}", std::process::id()));
    fs::write(&file, pem).unwrap();
    let path = file.to_str().unwrap();
    let (named, other) = (format!("https://localhost:{port}"), format!("https://127.0.0.1:{port}"));
    let trusted = command(&named, &["get", "--ca-file", path, "-o", "name"]).await;
    assert_eq!((trusted.exit, &*trusted.err), (Exit::Success, ""));
    let variables = [("PROVISIONER_URL", &*named), ("PROVISIONER_CA_FILE", path)];
    assert_eq!(command_with(&variables, &["get", "-o", "name"]).await.exit, Exit::Success);
    for (url, args) in [(&other, &["get", "--ca-file", path][..]), (&named, &["get"])] {
        let refused = command(url, args).await;
        // A machine without root certificates says so.
        let is_explained = refused.err.contains("no encrypted connection to https://")
            || refused.err.contains("cannot read the certificates to trust");
        assert!(refused.exit != Exit::Success && is_explained, "{refused:?}");
    }
    fs::remove_file(file).unwrap();
    server.abort();
}
