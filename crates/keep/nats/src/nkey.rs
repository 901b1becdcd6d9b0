//! Logging in by a credentials file: a JWT that says who one is, and the seed of the key that
//! proves it by signing what the server asks.
//!
//! Source: NATS' `nkeys` (a seed is base32 of two bytes of kind, 32 bytes, CRC-16/XMODEM) and
//! the decorated files of `nsc generate creds`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use zeroize::{Zeroize, Zeroizing};

/// Kind, seed, checksum.
const SEED_BYTES: usize = 2 + 32 + 2;
const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// `S` for a seed, in the upper five bits of the first byte.
const SEED_PREFIX: u8 = 18 << 3;
/// `U` for a user.
const USER_PREFIX: u8 = 20 << 3;

/// A login that is proved by a signature.
pub struct Credentials {
    pub jwt: String,
    key: SigningKey,
}

impl Credentials {
    /// Reads a credentials file. Errors never hold any of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let jwt = section(text, "NATS USER JWT").ok_or("it holds no NATS USER JWT")?;
        let seed = section(text, "USER NKEY SEED").ok_or("it holds no USER NKEY SEED")?;
        let key = seed_key(seed).ok_or("its USER NKEY SEED is none, or was mistyped")?;
        Ok(Self {
            jwt: jwt.to_owned(),
            key,
        })
    }

    /// What answers a server's question.
    pub fn sign(&self, nonce: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.key.sign(nonce.as_bytes()).to_bytes())
    }
}

/// The line between the marks of a part of the file.
fn section<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| line.contains(&format!("BEGIN {name}")))?;
    lines
        .find(|line| !line.is_empty())
        .filter(|line| !line.starts_with("---"))
}

fn seed_key(text: &str) -> Option<SigningKey> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(SEED_BYTES));
    let (mut held, mut bits) = (0_u32, 0);
    for digit in text.bytes() {
        let value = DIGITS.iter().position(|known| *known == digit)?;
        held = (held << 5) | value as u32;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    let (body, check) = bytes.split_at_checked(SEED_BYTES - 2)?;
    let kind = (body[0] & 0xf8, (body[0] & 7) << 5 | (body[1] & 0xf8) >> 3);
    if check != crc16(body).to_le_bytes() || kind != (SEED_PREFIX, USER_PREFIX) {
        return None;
    }
    let mut seed: [u8; 32] = body[2..].try_into().ok()?;
    let key = SigningKey::from_bytes(&seed);
    seed.zeroize();
    Some(key)
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc: u16, _| {
            match crc & 0x8000 {
                0 => crc << 1,
                _ => crc << 1 ^ 0x1021,
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of NATS' own documentation: a seed, and the public key that it belongs to.
    const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    const PUBLIC: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

    fn file(seed: &str) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\neyJ0.e30.x\n------END NATS USER JWT------\n\n\
             ************ IMPORTANT ************\n\n-----BEGIN USER NKEY SEED-----\n{seed}\n\
             ------END USER NKEY SEED------\n"
        )
    }

    fn public(key: &SigningKey) -> String {
        let mut bytes = vec![USER_PREFIX];
        bytes.extend(key.verifying_key().to_bytes());
        let check = crc16(&bytes).to_le_bytes();
        bytes.extend(check);
        let (mut text, mut held, mut bits) = (String::new(), 0_u32, 0);
        for byte in bytes {
            held = (held << 8) | u32::from(byte);
            bits += 8;
            while bits >= 5 {
                bits -= 5;
                text.push(char::from(DIGITS[(held >> bits) as usize & 31]));
            }
            held &= (1 << bits) - 1;
        }
        text
    }

    #[test]
    fn a_credentials_file_is_read_and_signs_for_the_user_it_names() {
        let credentials = Credentials::parse(&file(SEED)).unwrap();
        assert_eq!(credentials.jwt, "eyJ0.e30.x");
        assert_eq!(public(&credentials.key), PUBLIC);
        let signed = URL_SAFE_NO_PAD.decode(credentials.sign("nonce")).unwrap();
        let signature = ed25519_dalek::Signature::from_slice(&signed).unwrap();
        let key = credentials.key.verifying_key();
        assert!(key.verify_strict(b"nonce", &signature).is_ok());
    }

    #[test]
    fn what_is_no_credentials_file_is_told_without_showing_it() {
        let mistyped = SEED.replace("CSSL", "CSSM");
        for wrong in ["", &file(""), &file(&mistyped), &file(PUBLIC), &file("SU")] {
            let error = Credentials::parse(wrong).err().unwrap();
            assert!(!error.contains("SUAC"), "{error}");
        }
    }
}
