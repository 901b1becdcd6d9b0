//! Vendored files are what their packages hold, no byte changed, and none is unlisted.

use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn vendored_files_match_the_manifest() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/vendor");
    let manifest = std::fs::read_to_string(folder.join("MANIFEST.toml")).expect("manifest");
    let manifest: toml::Table = manifest.parse().expect("the manifest is TOML");
    let mut listed = BTreeSet::from(["MANIFEST.toml".to_owned()]);
    for file in manifest["file"].as_array().expect("[[file]] entries") {
        let field = |name: &str| {
            let value = file
                .get(name)
                .and_then(toml::Value::as_str)
                .unwrap_or_default();
            assert!(!value.is_empty(), "an entry lacks {name}: {file}");
            value.to_owned()
        };
        for name in ["name", "version", "licence", "package", "source"] {
            field(name);
        }
        let path = field("path");
        let bytes = std::fs::read(folder.join(&path)).expect("a listed file exists");
        let hash: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            hash,
            field("sha256"),
            "{path} is not what its package holds"
        );
        listed.insert(path);
    }
    for entry in std::fs::read_dir(&folder).expect("vendor folder") {
        let name = entry
            .expect("entry")
            .file_name()
            .to_string_lossy()
            .into_owned();
        assert!(
            listed.contains(&name),
            "{name} is vendored but not in MANIFEST.toml"
        );
    }
}
