//! Finds a control group's directory: `/proc/self/cgroup` matched with the mounts.

use super::LEVELS;

/// The directories of the process's groups, by controller.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Places {
    pub(super) memory: Option<Place>,
    pub(super) cpu: Option<Place>,
    /// The group in the unified hierarchy, whether or not it has these controllers.
    pub(super) unified: Option<Place>,
}

/// A group's directory.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) version: u64,
    pub(super) own: String,
    /// The length of the mount point in `own`; ancestors above it are not visible.
    mount: usize,
}

impl Place {
    /// The group's directory and its ancestors, up to the mount.
    pub(super) fn levels(&self) -> impl Iterator<Item = &str> {
        let above = |at: &&'_ str| at.rfind('/').filter(|end| *end >= self.mount);
        std::iter::successors(Some(&self.own[..]), move |at| above(at).map(|end| &self.own[..end]))
            .take(LEVELS)
    }
}

struct Mount<'a> {
    version: u64,
    /// The group mounted at `point`; not `/` in a container without a namespace.
    root: String,
    point: String,
    /// The controllers, among other options.
    options: &'a str,
}

impl Places {
    /// Parses both files; skips lines in an unknown format.
    pub(super) fn find(membership: &[u8], mounts: &[u8]) -> Places {
        let (membership, mounts) =
            (String::from_utf8_lossy(membership), String::from_utf8_lossy(mounts));
        let mounts: Vec<Mount<'_>> = mounts.lines().filter_map(mount).collect();
        let mut places = Places::default();
        for line in membership.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(number), Some(controllers), Some(path)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            if number == "0" && controllers.is_empty() {
                places.unified = find(&mounts, path, |mount| mount.version == 2);
                continue;
            }
            for controller in controllers.split(',') {
                let place = match controller {
                    "memory" => &mut places.memory,
                    "cpu" => &mut places.cpu,
                    _ => continue,
                };
                *place = find(&mounts, path, |mount| mount.controls(controller));
            }
        }
        // A controller is in one hierarchy only: what v1 lacks is in the unified one.
        places.memory = places.memory.or_else(|| places.unified.clone());
        places.cpu = places.cpu.or_else(|| places.unified.clone());
        places
    }
}

/// The group's directory, through the mount that shows most of its ancestors.
///
/// A mount whose root does not contain the group shows another group; it is the fallback, as in a
/// container without a namespace. One whose root is outside the namespace shows an ancestor with
/// other processes' usage and limits; it is never used.
fn find(mounts: &[Mount<'_>], path: &str, is_wanted: impl Fn(&Mount<'_>) -> bool) -> Option<Place> {
    let wanted = || mounts.iter().filter(|mount| is_wanted(mount) && !has_parent(&mount.root));
    let holding = wanted().filter(|mount| mount.below(path).is_some());
    let best = holding.min_by_key(|mount| mount.root.len()).or_else(|| wanted().next())?;
    Some(best.place(path))
}

/// Whether a path leaves its namespace.
fn has_parent(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

/// Parses a mount of control groups in mountinfo: `31 23 0:28 /root /mount/point rw,relatime
/// shared:9 - cgroup2 source rw,options`.
fn mount(line: &str) -> Option<Mount<'_>> {
    let (left, right) = line.split_once(" - ")?;
    let mut right = right.split(' ');
    let version = match right.next()? {
        "cgroup" => 1,
        "cgroup2" => 2,
        _ => return None,
    };
    let mut left = left.split(' ').skip(3);
    let (root, point) = (unescape(left.next()?), unescape(left.next()?));
    Some(Mount { version, root, point, options: right.nth(1).unwrap_or_default() })
}

impl Mount<'_> {
    fn controls(&self, controller: &str) -> bool {
        self.version == 1 && self.options.split(',').any(|option| option == controller)
    }

    /// The path of a group relative to the mount's root.
    fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        let below = if self.root == "/" { Some(path) } else { path.strip_prefix(&self.root[..]) };
        below.filter(|below| below.is_empty() || below.starts_with('/'))
    }

    fn place(&self, path: &str) -> Place {
        // A group outside of the mount is written with `/..`, or as the host sees it; the mount
        // itself is the best approximation.
        let below = self.below(path).filter(|below| !has_parent(below));
        let point = self.point.trim_end_matches('/');
        let own = format!("{point}{}", below.unwrap_or_default());
        Place {
            version: self.version,
            own: own.trim_end_matches('/').to_owned(),
            mount: point.len(),
        }
    }
}

/// Decodes octal escapes such as `\040` for a space.
fn unescape(field: &str) -> String {
    let mut parts = field.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(char::from(byte));
                plain.push_str(&part[3..]);
            }
            None => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(membership: &str, mounts: &str) -> Option<String> {
        Places::find(membership.as_bytes(), mounts.as_bytes()).memory.map(|place| place.own)
    }

    #[test]
    fn the_unified_hierarchy() {
        let mounts =
            "25 30 0:23 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(own("0::/\n", mounts).unwrap(), "/sys/fs/cgroup");
        assert_eq!(
            own("0::/system.slice/a:b.service\n", mounts).unwrap(),
            "/sys/fs/cgroup/system.slice/a:b.service"
        );
        // Moved out of its namespace: only the mount is visible.
        assert_eq!(own("0::/../../other\n", mounts).unwrap(), "/sys/fs/cgroup");
        assert_eq!(own("0::/\n", ""), None);
    }

    #[test]
    fn the_older_hierarchies_below_a_container_s_root() {
        let mounts = "36 35 0:31 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
            37 35 0:32 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n";
        let membership =
            "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc/inner\n1:name=systemd:/docker/abc\n";
        let places = Places::find(membership.as_bytes(), mounts.as_bytes());
        assert_eq!(places.memory.unwrap().own, "/sys/fs/cgroup/memory");
        assert_eq!(places.cpu.unwrap().own, "/sys/fs/cgroup/cpu,cpuacct/inner");
        assert_eq!(places.unified, None);
        // A name with the root's name as a prefix is another group.
        assert_eq!(own("4:memory:/docker/abcdef\n", mounts).unwrap(), "/sys/fs/cgroup/memory");
    }

    #[test]
    fn a_namespace_that_was_not_mounted_anew_shows_no_ancestor() {
        // `unshare --cgroup`: the group is the namespace's root, and the old mount is above it.
        let old = "25 30 0:23 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(own("0::/\n", old), None);
        let new = "40 30 0:23 / /mnt/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(own("0::/\n", &format!("{old}{new}")).unwrap(), "/mnt/cgroup");
    }

    #[test]
    fn a_mount_that_holds_the_group_goes_before_one_that_does_not() {
        let other = "25 30 0:23 /other /mnt/other rw - cgroup2 cgroup2 rw\n";
        let part = "26 30 0:23 /a /mnt/a rw - cgroup2 cgroup2 rw\n";
        let whole = "27 30 0:23 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let of = |mounts: &[&str]| own("0::/a/b\n", &mounts.concat()).unwrap();
        assert_eq!(of(&[other]), "/mnt/other");
        assert_eq!(of(&[other, part]), "/mnt/a/b");
        assert_eq!(of(&[other, part, whole]), "/sys/fs/cgroup/a/b", "most groups above it");
    }

    #[test]
    fn levels_end_at_the_mount() {
        let mounts = "25 30 0:23 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let places = Places::find(b"0::/a/b\n", mounts.as_bytes());
        let levels: Vec<_> = places.memory.as_ref().unwrap().levels().collect();
        assert_eq!(levels, ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"]);
        let deep = format!("0::{}\n", "/x".repeat(100));
        let places = Places::find(deep.as_bytes(), mounts.as_bytes());
        assert_eq!(places.memory.unwrap().levels().count(), LEVELS);
    }

    #[test]
    fn mount_points_may_hold_spaces() {
        let mounts = "25 30 0:23 / /sys/my\\040groups rw - cgroup2 cgroup2 rw\n";
        assert_eq!(own("0::/a\n", mounts).unwrap(), "/sys/my groups/a");
        assert_eq!(unescape("a\\1"), "a\\1");
        assert_eq!(unescape("a\\é"), "a\\é");
    }

    #[test]
    fn nonsense_is_skipped() {
        assert_eq!(
            Places::find(b"x\n::\n4:memory\n\xff:\xff:\xff\n", b"- cgroup2\n \n"),
            Places::default()
        );
    }
}
