//! Which members poll an endpoint.

use xxhash_rust::xxh64::xxh64;

/// The members that share the endpoints.
///
/// Rendezvous hashing, like [`Shard`](crate::shard::Shard): for a URL every member has the weight
/// `XXH64(url, seed = XXH64(name, 0))`, and the `replicas` heaviest poll it (ties go to the name
/// that sorts first). No leader is needed; when one of N members joins or leaves, only an N-th of
/// the endpoints moves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    /// Distinct names in order, with their seeds.
    members: Vec<(String, u64)>,
    replicas: usize,
}

impl Owners {
    /// Creates owners; each endpoint has `replicas` of these members, at least one.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>, replicas: usize) -> Owners {
        let seeded = |name: &str| (name.to_owned(), xxh64(name.as_bytes(), 0));
        let mut members: Vec<_> = names.into_iter().map(seeded).collect();
        members.sort_unstable();
        members.dedup();
        Owners { members, replicas: replicas.max(1) }
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|(name, _)| name.as_str())
    }

    /// Whether this member polls the URL. Costs one hash for each member.
    pub fn owns(&self, name: &str, url: &str) -> bool {
        let Some(at) = self.members.iter().position(|(member, _)| member == name) else {
            return false;
        };
        if self.members.len() <= self.replicas {
            return true;
        }
        let weight = |seed| xxh64(url.as_bytes(), seed);
        let own = weight(self.members[at].1);
        let mut heavier = 0;
        for (other, (_, seed)) in self.members.iter().enumerate() {
            let weight = weight(*seed);
            heavier += usize::from(weight > own || (weight == own && other < at));
            if heavier == self.replicas {
                return false;
            }
        }
        true
    }

    /// The URL's members, heaviest first. Costs one hash for each member.
    pub fn of(&self, url: &str) -> Vec<&str> {
        // The heaviest so far, in order: usually one.
        let mut best: Vec<(u64, usize)> = Vec::with_capacity(self.replicas.min(8) + 1);
        for (at, (_, seed)) in self.members.iter().enumerate() {
            let weight = xxh64(url.as_bytes(), *seed);
            let place = best.partition_point(|(other, _)| *other >= weight);
            if place < self.replicas {
                best.insert(place, (weight, at));
                best.truncate(self.replicas);
            }
        }
        best.into_iter().map(|(_, at)| self.members[at].0.as_str()).collect()
    }
}
