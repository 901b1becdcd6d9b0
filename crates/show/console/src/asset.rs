//! One file of the console, by the path that a browser asks for.

use rust_embed::RustEmbed;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Paths that show the page itself; its script reads the path to choose the view.
pub const PAGES: [&str; 5] = ["/", "/board", "/login", "/incidents", "/explore"];

/// What the path of one incident's page begins with.
const INCIDENT_PAGES: &str = "/incidents/";

/// Hash bytes in an entity tag. 16 of SHA-256's 32 leave no chance of a clash.
const ETAG_BYTES: usize = 16;

/// The files as they lie in `assets/`, in every profile, so that a debug binary may be moved.
#[derive(RustEmbed)]
#[folder = "assets/"]
struct Files;

/// One file of the console.
#[derive(Debug, Clone)]
pub struct Asset {
    /// The file.
    pub bytes: Cow<'static, [u8]>,
    /// Value of `content-type`.
    pub content_type: &'static str,
    /// Value of `etag`, quotes included; changes when the bytes change.
    pub etag: String,
}

/// The file behind a path of a request (`/`, `/main.js`, `style/base.css`); `None` where
/// there is none. Every path of [`PAGES`], and that of each incident, gives the page.
pub fn asset(path: &str) -> Option<Asset> {
    let is_page = path.is_empty() || PAGES.contains(&path) || path.starts_with(INCIDENT_PAGES);
    let name = if is_page {
        "index.html"
    } else {
        path.strip_prefix('/').unwrap_or(path)
    };
    let file = Files::get(name)?;
    let content_type = content_type(name)?;
    let etag = etag(&file.metadata.sha256_hash());
    Some(Asset {
        bytes: file.data,
        content_type,
        etag,
    })
}

/// A file whose type is not listed is not served: every kind is a decision.
fn content_type(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    Some(match extension {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webmanifest" => "application/manifest+json",
        _ => return None,
    })
}

fn etag(hash: &[u8; 32]) -> String {
    let mut tag = String::with_capacity(2 * ETAG_BYTES + 2);
    tag.push('"');
    for byte in &hash[..ETAG_BYTES] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of comments alone: nothing imports them when the page runs.
    const TYPES: [&str; 2] = ["state/types.js", "state/api-types.js"];

    #[test]
    fn every_page_is_the_page_and_nothing_else_is() {
        let page = asset("/").expect("the page is embedded");
        assert_eq!(page.content_type, "text/html; charset=utf-8");
        for path in PAGES.into_iter().chain(["/incidents/inc-0f3a"]) {
            assert_eq!(
                asset(path).map(|found| found.etag),
                Some(page.etag.clone()),
                "{path}"
            );
        }
        for path in [
            "/index",
            "/nothing.js",
            "/../Cargo.toml",
            "//",
            "/vendor/",
            "/vendor/MANIFEST.toml",
        ] {
            assert!(asset(path).is_none(), "{path}");
        }
    }

    #[test]
    fn what_the_page_names_is_there_and_typed() {
        let page = asset("/").expect("the page is embedded");
        let text = std::str::from_utf8(&page.bytes).expect("the page is UTF-8");
        let mut named = 0;
        for piece in text.split("=\"/").skip(1) {
            let path = piece.split('"').next().unwrap_or_default();
            let found = asset(path).unwrap_or_else(|| panic!("{path} is named but not embedded"));
            assert!(!found.bytes.is_empty(), "{path}");
            named += 1;
        }
        assert!(named >= 2, "a script and a style at least, found {named}");
    }

    /// Read by who looks at curves, and large: the first picture must not wait for it.
    const LATE: [&str; 1] = ["vendor/uPlot.esm.js"];

    /// Otherwise the browser learns of them one import after the other, a round trip each.
    #[test]
    fn the_page_names_every_module_ahead() {
        let page = asset("/").expect("the page is embedded");
        let text = std::str::from_utf8(&page.bytes).expect("the page is UTF-8");
        let known = |name: &str| TYPES.contains(&name) || LATE.contains(&name);
        for name in Files::iter().filter(|name| name.ends_with(".js") && !known(name)) {
            assert!(
                text.contains(&format!("=\"/{name}\"")),
                "{name} is not preloaded"
            );
        }
    }

    #[test]
    fn every_module_that_a_module_imports_is_embedded() {
        for name in
            Files::iter().filter(|name| name.ends_with(".js") && !name.starts_with("vendor/"))
        {
            let file = Files::get(&name).expect("listed");
            let text = std::str::from_utf8(&file.data).expect("scripts are UTF-8");
            let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
            let imports = text
                .lines()
                .filter(|line| line.starts_with("import ") || line.starts_with("} from"));
            for line in imports {
                let target = line.split('"').nth(1).unwrap_or_default();
                if target.is_empty() {
                    continue;
                }
                assert!(
                    target.starts_with('.'),
                    "{name} imports {target}: only relative paths work"
                );
                assert!(
                    asset(&joined(folder, target)).is_some(),
                    "{name} imports {target}"
                );
            }
        }
    }

    fn joined(folder: &str, relative: &str) -> String {
        let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
        for part in relative.split('/') {
            match part {
                "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        format!("/{}", parts.join("/"))
    }
}
