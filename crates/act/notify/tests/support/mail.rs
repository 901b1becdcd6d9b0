//! A mail server: speaks SMTP as far as a client needs it, records what it takes.

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// One mail as it arrived.
#[derive(Debug, Clone, Default)]
pub struct Mail {
    pub secure: bool,
    pub login: Option<String>,
    pub from: String,
    pub to: Vec<String>,
    pub data: String,
}

impl Mail {
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.data.split("\r\n\r\n").next()?.replace("\r\n ", " ");
        let start = format!("{}:", name.to_ascii_lowercase());
        let line = head
            .split("\r\n")
            .find(|line| line.to_ascii_lowercase().starts_with(&start))?;
        Some(line[start.len()..].trim().to_owned())
    }
}

/// How it behaves.
#[derive(Clone, Default)]
pub struct Behaviour {
    /// Offers STARTTLS with this.
    pub starttls: Option<Arc<rustls::ServerConfig>>,
    /// TLS from the first byte.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Answers to `RCPT TO` of this address.
    pub refuse: Option<(String, String)>,
    /// Answer to the end of the data, if not that it is taken.
    pub verdict: Option<String>,
    /// Says this instead of a greeting, then nothing more.
    pub greeting: Option<Vec<u8>>,
    /// Says the greeting over and over.
    pub endless: bool,
}

/// A running mail server.
pub struct MailServer {
    pub port: u16,
    mails: Arc<Mutex<Vec<Mail>>>,
}

impl MailServer {
    pub async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            mails: Arc::default(),
        };
        let mails = Arc::clone(&server.mails);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, behaviour.clone(), Arc::clone(&mails)));
            }
        });
        server
    }

    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap().clone()
    }

    #[track_caller]
    pub fn only(&self) -> Mail {
        let mails = self.mails();
        assert_eq!(mails.len(), 1, "{mails:?}");
        mails[0].clone()
    }
}

async fn converse(mut stream: TcpStream, behaviour: Behaviour, mails: Arc<Mutex<Vec<Mail>>>) {
    if let Some(greeting) = &behaviour.greeting {
        let _ = stream.write_all(greeting).await;
        while behaviour.endless && stream.write_all(greeting).await.is_ok() {}
        tokio::time::sleep(std::time::Duration::from_secs(600)).await;
        return;
    }
    if let Some(config) = behaviour.tls.clone() {
        if let Ok(stream) = tokio_rustls::TlsAcceptor::from(config).accept(stream).await {
            speak(BufReader::new(stream), &behaviour, &mails, true, true).await;
        }
        return;
    }
    let upgraded = speak(BufReader::new(stream), &behaviour, &mails, false, true).await;
    if let (Some(stream), Some(config)) = (upgraded, behaviour.starttls.clone())
        && let Ok(stream) = tokio_rustls::TlsAcceptor::from(config).accept(stream).await
    {
        speak(BufReader::new(stream), &behaviour, &mails, true, false).await;
    }
}

/// Returns the stream when the client asked for STARTTLS.
async fn speak<S>(
    mut stream: BufReader<S>,
    behaviour: &Behaviour,
    mails: &Mutex<Vec<Mail>>,
    secure: bool,
    greet: bool,
) -> Option<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut mail = Mail {
        secure,
        ..Mail::default()
    };
    if greet {
        stream
            .write_all(b"220 mail.test ESMTP recorder\r\n")
            .await
            .ok()?;
    }
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        let upper = line.to_ascii_uppercase();
        let answer = if upper.starts_with("EHLO") {
            let mut lines = vec!["mail.test"];
            if behaviour.starttls.is_some() && !secure {
                lines.push("STARTTLS");
            }
            lines.push("AUTH PLAIN LOGIN");
            lines.push("8BITMIME");
            let last = lines.len() - 1;
            let line = |(index, text): (usize, &&str)| {
                let dash = if index == last { ' ' } else { '-' };
                format!("250{dash}{text}\r\n")
            };
            lines.iter().enumerate().map(line).collect()
        } else if upper == "STARTTLS" {
            stream.write_all(b"220 go on\r\n").await.ok()?;
            return Some(stream.into_inner());
        } else if let Some(login) = line.strip_prefix("AUTH PLAIN ") {
            mail.login = Some(login.to_owned());
            "235 welcome\r\n".into()
        } else if let Some(from) = upper.strip_prefix("MAIL FROM:") {
            mail.from = from.to_ascii_lowercase();
            "250 ok\r\n".to_owned()
        } else if let Some(to) = line.strip_prefix("RCPT TO:") {
            match &behaviour.refuse {
                Some((address, answer)) if to.contains(address.as_str()) => format!("{answer}\r\n"),
                _ => {
                    mail.to.push(to.to_owned());
                    "250 ok\r\n".into()
                }
            }
        } else if upper == "DATA" {
            stream.write_all(b"354 go on\r\n").await.ok()?;
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.ok()? == 0 {
                    return None;
                }
                if line == ".\r\n" {
                    break;
                }
                mail.data.push_str(line.strip_prefix('.').unwrap_or(&line));
            }
            match &behaviour.verdict {
                Some(verdict) => format!("{verdict}\r\n"),
                None => {
                    mails.lock().unwrap().push(mail.clone());
                    "250 queued as 4711\r\n".into()
                }
            }
        } else if upper == "QUIT" {
            let _ = stream.write_all(b"221 bye\r\n").await;
            return None;
        } else {
            "250 ok\r\n".into()
        };
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}
