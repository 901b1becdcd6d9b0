//! A node's certificate: made once, self-signed, known to the others by its fingerprint in
//! the node's slice. There is no certificate authority to run.

use crate::base32::sha256;
use crate::file;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const CERTIFICATE_FILE: &str = "tls-cert.pem";
const KEY_FILE: &str = "tls-key.pem";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// A file holds something else than it should.
    #[error("{} holds no usable {what}; remove tls-cert.pem and tls-key.pem to have new ones made", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// `certificate` or `key`.
        what: &'static str,
    },
    /// A name does not fit into a certificate, or there is no randomness.
    #[error("no certificate could be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// Certificate and private key.
#[derive(Debug)]
pub struct TlsIdentity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Clone for TlsIdentity {
    fn clone(&self) -> Self {
        Self {
            certificate: self.certificate.clone(),
            key: self.key.clone_key(),
        }
    }
}

impl TlsIdentity {
    /// Reads `tls-cert.pem` and `tls-key.pem` in `dir`, or makes and stores them (mode 0600).
    ///
    /// `names`: host names and addresses to put into a certificate that is made.
    /// A certificate without its key is made anew; a malformed file is an error, since a
    /// silently changed fingerprint would look like an attack to the other nodes.
    pub fn load_or_create(dir: &Path, names: &[String]) -> Result<Self, IdentityError> {
        let (certificate_path, key_path) = (dir.join(CERTIFICATE_FILE), dir.join(KEY_FILE));
        let certificate = read(&certificate_path)?;
        let key = read(&key_path)?;
        if let (Some(certificate), Some(key)) = (certificate, key) {
            let certificate = CertificateDer::from_pem_slice(&certificate).map_err(|_| {
                IdentityError::Malformed {
                    path: certificate_path,
                    what: "certificate",
                }
            })?;
            let key =
                PrivateKeyDer::from_pem_slice(&key).map_err(|_| IdentityError::Malformed {
                    path: key_path,
                    what: "key",
                })?;
            return Ok(Self { certificate, key });
        }
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name = DistinguishedName::new();
        let name = names.first().map_or("andon", String::as_str);
        params
            .distinguished_name
            .push(DnType::CommonName, format!("andon {name}"));
        let certificate = params.self_signed(&key)?;
        let pem = Zeroizing::new(key.serialize_pem());
        store(&key_path, pem.as_bytes())?;
        store(&certificate_path, certificate.pem().as_bytes())?;
        let key_der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
            IdentityError::Malformed {
                path: key_path,
                what: "key",
            }
        })?;
        Ok(Self {
            certificate: certificate.der().clone(),
            key: key_der,
        })
    }

    /// SHA-256 of the certificate (DER): what other nodes pin.
    pub fn fingerprint(&self) -> [u8; 32] {
        sha256(&self.certificate)
    }

    /// When the certificate ends, seconds since 1970; `None` if it is no certificate that says.
    pub(crate) fn ends(&self) -> Option<i64> {
        let (_, certificate) = x509_parser::parse_x509_certificate(&self.certificate).ok()?;
        Some(certificate.validity().not_after.timestamp())
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }
}

fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, IdentityError> {
    match std::fs::read(path) {
        Ok(content) => Ok(Some(Zeroizing::new(content))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(IdentityError::File {
            path: path.to_owned(),
            source,
        }),
    }
}

fn store(path: &Path, content: &[u8]) -> Result<(), IdentityError> {
    file::replace(path, content).map_err(|source| IdentityError::File {
        path: path.to_owned(),
        source,
    })
}
