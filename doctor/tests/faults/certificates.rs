//! Faults of the API server's certificate.

use std::{future::pending, sync::Arc};

use doctor::{Cluster as Where, Selection, Subject};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use simcluster::{Kubeconfig, Tls};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::fixture::{Case, base64, connect, finds, serve, subject, template};

/// Returns a certificate and its key as PEM, valid from and until this number of days from now.
pub fn pem(names: &[&str], from: i64, until: i64) -> (String, String) {
    let mut params =
        CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
    let day = |days: i64| {
        let date = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
        let date = date.to_zoned(jiff::tz::TimeZone::UTC).date();
        rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    (params.not_before, params.not_after) = (day(from), day(until));
    let key = KeyPair::generate().unwrap();
    let text = |label: &str, der: &[u8]| {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", base64(der, true))
    };
    let certificate = params.self_signed(&key).unwrap();
    (text("CERTIFICATE", certificate.der()), text("PRIVATE KEY", &key.serialize_der()))
}

/// Serves TLS with a certificate, and sends what is inside to another address.
async fn tls_before(certificate: &str, key: &str, inner: String) -> u16 {
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, inner) = (acceptor.clone(), inner.clone());
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(stream).await else { return };
                let mut inside = tokio::net::TcpStream::connect(inner).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    port
}

struct Files(tempfile::TempDir);

impl Files {
    fn subject(&self, config: &Kubeconfig) -> Subject {
        let path = self.0.path().join("config");
        std::fs::write(&path, config.to_string()).unwrap();
        subject(template(), Where::Configured(connect(path)))
    }
}

/// Guards the code of each fault of the certificate.
#[tokio::test]
async fn faults_of_the_certificate() {
    let files = Files(tempfile::tempdir().unwrap());
    let case = Case::healthy().await;
    let plain = serve(&case.cluster).await.replace("http://", "");
    for (fault, names, from, until, codes) in [
        ("good", &["127.0.0.1"][..], -1, 300, &[][..]),
        ("another name", &["other.example", "10.0.0.1"], -1, 300, &["SP0403"]),
        ("expired", &["127.0.0.1"], -30, -1, &["SP0404"]),
        ("not yet valid", &["127.0.0.1"], 3, 30, &["SP0404"]),
        ("expires soon", &["127.0.0.1"], -1, 5, &["SP0405"]),
    ] {
        let (certificate, key) = pem(names, from, until);
        let port = tls_before(&certificate, &key, plain.clone()).await;
        let config = Kubeconfig::new(format!("https://127.0.0.1:{port}")).authority(certificate);
        finds(fault, &files.subject(&config), &Selection::default(), codes).await;
    }
    // A port of another service.
    let (certificate, _) = pem(&["127.0.0.1"], -1, 300);
    let config = Kubeconfig::new(format!("https://{plain}")).authority(certificate);
    finds("not TLS", &files.subject(&config), &Selection::default(), &["SP0401"]).await;
}

/// Guards that a cluster that was created again and a certificate with another name have different codes, and that the name and the
/// check of the settings count.
#[tokio::test]
async fn faults_of_the_settings_of_tls() {
    let files = Files(tempfile::tempdir().unwrap());
    let case = Case::healthy().await;
    let tls = Tls::generate(&[]).unwrap();
    let authority = tls.authority().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(simcluster::serve_tls(listener, case.cluster.clone(), tls, pending()));

    let good = files.subject(&Kubeconfig::new(&server).authority(&authority));
    finds("good", &good, &Selection::default(), &[]).await;
    let other = Tls::generate(&[]).unwrap().authority().to_owned();
    let again = files.subject(&Kubeconfig::new(&server).authority(other));
    finds("created again", &again, &Selection::default(), &["SP0402"]).await;

    let change = async |fault: &str, change: &dyn Fn(&mut kubernetes::connect::Options), code: &str| {
        let mut subject = files.subject(&Kubeconfig::new(&server).authority(&authority));
        let Where::Configured(options) = &mut subject.cluster else { panic!() };
        change(options);
        finds(fault, &subject, &Selection::default(), &[code]).await;
    };
    change("another name", &|options| options.tls_server_name = Some("other.example".to_owned()), "SP0403")
        .await;
    change("not checked", &|options| options.insecure_skip_tls_verify = true, "SP0406").await;
}
