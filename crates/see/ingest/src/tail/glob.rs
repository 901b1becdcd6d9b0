//! Paths with `*`, `?` and `**`: which files they mean at this moment.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Files that patterns may mean together.
pub const FILES_MAX: usize = 4096;
/// Folders that `**` goes down into.
const DEPTH_MAX: usize = 16;

/// Whether a name is meant by a pattern of one path segment.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    // The last star and where its match began: going back there is all that is ever needed.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(char) if *char == '?' || *char == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, began)) => {
                    star = Some((at, began + 1));
                    (p, n) = (at + 1, began + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|char| *char == '*')
}

/// Whether a whole path is meant; `**` stands for any number of folders.
pub fn matches_path(pattern: &str, path: &str) -> bool {
    fn segments(pattern: &[&str], path: &[&str]) -> bool {
        match (pattern.first(), path.first()) {
            (None, None) => true,
            (Some(&"**"), _) => (0..=path.len()).any(|skip| segments(&pattern[1..], &path[skip..])),
            (Some(pattern_head), Some(head)) => {
                matches(pattern_head, head) && segments(&pattern[1..], &path[1..])
            }
            _ => false,
        }
    }
    let pattern: Vec<_> = pattern
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    let path: Vec<_> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    // Two `**` after one another mean the same as one, and cost more.
    let mut simple = pattern.clone();
    simple.dedup_by(|a, b| *a == "**" && *b == "**");
    segments(&simple, &path)
}

/// The files that a pattern means, at most `room`, in order.
pub fn expand(pattern: &str, room: usize) -> BTreeSet<PathBuf> {
    let segments: Vec<_> = pattern
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    let mut found = BTreeSet::new();
    let start = PathBuf::from(if pattern.starts_with('/') { "/" } else { "." });
    walk(&start, &segments, 0, room, &mut found);
    found
}

fn walk(
    folder: &Path,
    segments: &[&str],
    depth: usize,
    room: usize,
    found: &mut BTreeSet<PathBuf>,
) {
    let Some((segment, rest)) = segments.split_first() else {
        return;
    };
    if found.len() >= room {
        return;
    }
    if *segment == "**" {
        walk(folder, rest, depth, room, found);
        if depth < DEPTH_MAX {
            for (path, _) in entries(folder) {
                // A link to a folder above would never end.
                let is_folder = fs::symlink_metadata(&path).is_ok_and(|data| data.is_dir());
                if is_folder {
                    walk(&path, segments, depth + 1, room, found);
                }
            }
        }
        return;
    }
    let is_plain = !segment.contains(['*', '?']);
    let paths: Vec<PathBuf> = if is_plain {
        vec![folder.join(segment)]
    } else {
        let entries = entries(folder).into_iter();
        let meant = entries.filter(|(_, name)| matches(segment, name));
        meant.map(|(path, _)| path).collect()
    };
    for path in paths {
        if !rest.is_empty() {
            if path.is_dir() {
                walk(&path, rest, depth, room, found);
            }
        } else if found.len() < room && path.is_file() {
            found.insert(path);
        }
    }
}

fn entries(folder: &Path) -> Vec<(PathBuf, String)> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let entries = entries.flatten();
    let mut entries: Vec<_> = entries
        .map(|entry| {
            (
                entry.path(),
                entry.file_name().to_string_lossy().into_owned(),
            )
        })
        .collect();
    entries.sort();
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_say() {
        for (pattern, path, expected) in [
            ("/var/log/*.log", "/var/log/a.log", true),
            ("/var/log/*.log", "/var/log/a/b.log", false),
            ("/var/log/**/*.log", "/var/log/a/b/c.log", true),
            ("/var/log/**/*.log", "/var/log/c.log", true),
            ("/var/log/app-?.log*", "/var/log/app-1.log.2.gz", true),
            ("/a/*b*c", "/a/xbxbxc", true),
            ("/a/*b*c", "/a/xbxbx", false),
            ("/a", "/a/b", false),
        ] {
            assert_eq!(matches_path(pattern, path), expected, "{pattern} {path}");
        }
        assert!(!matches(&"*a".repeat(50), &"a".repeat(49)));
    }
}
