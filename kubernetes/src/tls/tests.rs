use http::Request;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use super::*;
use crate::{
    client::{self, Timeouts},
    credentials::load,
    kubeconfig::Context,
};

/// A server's certificate and key, as PEM.
struct Identity {
    certificate: String,
    key: String,
}

/// Encodes DER as PEM.
fn pem(label: &str, der: &[u8]) -> String {
    let body = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

/// Makes a self-signed certificate for this name.
fn self_signed(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Identity {
        certificate: pem("CERTIFICATE", certificate.der()),
        key: pem("PRIVATE KEY", &key.serialize_der()),
    }
}

fn authority(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
}

/// Serves one answer a connection over TLS, and returns the port.
async fn serve(identity: &Identity) -> u16 {
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
            let _ = stream.shutdown().await;
        }
    });
    port
}

/// Calls the server with this certificate authority. Returns whether it answered.
async fn call(port: u16, authority: &str, name: &str) -> bool {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("ca"), authority).unwrap();
    let text = format!(
        "current-context: x\ncontexts: [{{name: x, context: {{cluster: c}}}}]\nclusters:\n- name: c\n  cluster:\n    \
         server: https://127.0.0.1:{port}\n    tls-server-name: {name}\n    certificate-authority: ca\n"
    );
    let context = Context::read(text.as_bytes(), directory.path(), None).unwrap();
    let credentials = load(&context).await.unwrap().credentials;
    let timeouts = Timeouts { connect: std::time::Duration::from_secs(5), read: None };
    let client = client::build(&context, &credentials, "rec", timeouts).unwrap();
    let request = Request::get("/version").body(kube::client::Body::empty()).unwrap();
    client.send(request).await.is_ok_and(|response| response.status().is_success())
}

/// Guards that a certificate that is its own authority is accepted if it is the named one, is valid and has the name,
/// and only then.
#[tokio::test]
async fn a_certificate_may_be_its_own_authority() {
    for is_authority in [true, false] {
        let own = self_signed("api", |params| {
            if is_authority {
                authority(params);
            }
        });
        let port = serve(&own).await;
        assert!(call(port, &own.certificate, "api").await, "authority: {is_authority}");
        assert!(!call(port, &own.certificate, "other").await, "another name");
        let unlisted = self_signed("api", authority);
        assert!(!call(port, &unlisted.certificate, "api").await, "another authority");
    }
    let expired = self_signed("api", |params| {
        authority(params);
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    });
    assert!(!call(serve(&expired).await, &expired.certificate, "api").await, "expired");
}

/// Guards that a server's certificate may be named itself in place of its issuer's, and is checked like any other.
#[tokio::test]
async fn a_servers_certificate_may_be_the_authority() {
    let mut params = CertificateParams::default();
    authority(&mut params);
    params.distinguished_name.push(DnType::CommonName, "an authority");
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let signed = |change: fn(&mut CertificateParams)| {
        let mut params = CertificateParams::new(["api".to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Identity {
            certificate: pem("CERTIFICATE", params.signed_by(&key, &issuer).unwrap().der()),
            key: pem("PRIVATE KEY", &key.serialize_der()),
        }
    };
    let server = signed(|_| ());
    let port = serve(&server).await;
    assert!(call(port, &server.certificate, "api").await);
    assert!(!call(port, &server.certificate, "other").await, "another name");
    assert!(!call(port, &signed(|_| ()).certificate, "api").await, "another certificate of the same issuer");
    let expired = signed(|params| {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    });
    assert!(!call(serve(&expired).await, &expired.certificate, "api").await, "expired");
}

/// Guards that a certificate signed by the authority is accepted, whatever else the authority's file contains.
#[tokio::test]
async fn a_broken_certificate_beside_the_authority_is_skipped() {
    let mut params = CertificateParams::default();
    authority(&mut params);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let signed = CertificateParams::new(["api".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let port = serve(&Identity {
        certificate: pem("CERTIFICATE", signed.der()),
        key: pem("PRIVATE KEY", &key.serialize_der()),
    })
    .await;
    let issuer = pem("CERTIFICATE", issuer.der());
    let broken = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    for file in [
        issuer.clone(),
        format!("some text\n{issuer}{broken}"),
        format!("{broken}{issuer}"),
        issuer.replace('\n', "\r\n"),
    ] {
        assert!(call(port, &file, "api").await, "{file}");
    }
    assert_eq!(authorities(broken.as_bytes()).unwrap_err(), TlsError::Authority);
    assert_eq!(authorities(b"").unwrap_err(), TlsError::Authority);
}

/// Guards that a key that cannot be used is refused by its kind.
#[test]
fn an_unsupported_key_is_named() {
    let p521 = [&[0x30, 0x09][..], &CURVE_P521].concat();
    for label in ["PRIVATE KEY", "EC PRIVATE KEY"] {
        assert_eq!(check_key(pem(label, &p521).as_bytes()), Err(TlsError::CurveP521), "{label}");
    }
    assert_eq!(check_key(pem("ENCRYPTED PRIVATE KEY", b"x").as_bytes()), Err(TlsError::EncryptedKey));
    let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAA==\n\
                  -----END RSA PRIVATE KEY-----\n";
    assert_eq!(check_key(legacy.as_bytes()), Err(TlsError::EncryptedKey));
    assert_eq!(check_key(b"no key"), Err(TlsError::Identity));
    assert_eq!(
        check_key(pem("PRIVATE KEY", &KeyPair::generate().unwrap().serialize_der()).as_bytes()),
        Ok(())
    );
    let own = self_signed("me", |_| {});
    let other = self_signed("me", |_| {});
    let configured = |certificate: &str, key: &str| {
        let identity = Some((Secret(certificate.into()), Secret(key.into())));
        let credentials = Credentials { authority: None, identity, authorization: None };
        let mut config = Config::new(http::Uri::from_static("https://api"));
        config.accept_invalid_certs = true;
        configure(config, &credentials).map(|_| ())
    };
    assert_eq!(configured(&own.certificate, &own.key), Ok(()));
    assert_eq!(
        configured(&own.certificate, &other.key),
        Err(TlsError::Identity),
        "the key of another certificate"
    );
    assert_eq!(configured("", &own.key), Err(TlsError::Identity));
    // The kubelet writes both into one file.
    let both = own.certificate.clone() + &own.key;
    assert_eq!(configured(&both, &both), Ok(()));
    let text = format!("some text\r\n{}", own.key.replace('\n', "\r\n"));
    assert_eq!(configured(&own.certificate, &text), Ok(()));
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = CertificateParams::new(["me".to_owned()]).unwrap().self_signed(&key).unwrap();
        let key = pem("PRIVATE KEY", &key.serialize_der());
        assert_eq!(configured(&pem("CERTIFICATE", certificate.der()), &key), Ok(()), "{algorithm:?}");
    }
}
