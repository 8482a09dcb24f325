//! The statistics as JSON, under Go's names.

use std::sync::Arc;

use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

use super::{BySize, MemStats, Sources};

/// All fields.
pub(super) struct Shown(pub(super) Arc<MemStats>);

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// The measured fields alone.
pub(super) struct Parts(pub(super) Arc<MemStats>);

impl Serialize for Parts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stats = &*self.0;
        let Sources { hook, by_size, live_bytes, heap, bookkeeping, stack, other } = stats.sources;
        let numbers = [
            ("Alloc", stats.alloc, live_bytes),
            ("TotalAlloc", stats.total_alloc, hook),
            ("Sys", stats.sys, heap),
            ("Mallocs", stats.mallocs, hook),
            ("Frees", stats.frees, hook),
            ("HeapAlloc", stats.heap_alloc, live_bytes),
            ("HeapSys", stats.heap_sys, heap),
            ("HeapIdle", stats.heap_idle, heap),
            ("HeapInuse", stats.heap_inuse, heap),
            ("HeapReleased", stats.heap_released, heap),
            ("HeapObjects", stats.heap_objects, hook),
            ("StackInuse", stats.stack_inuse, stack),
            ("StackSys", stats.stack_sys, stack),
            ("MSpanInuse", stats.mspan_inuse, bookkeeping),
            ("MSpanSys", stats.mspan_sys, bookkeeping),
            ("OtherSys", stats.other_sys, other),
        ];
        let mut map = serializer.serialize_map(None)?;
        for (name, number, _) in numbers.into_iter().filter(|(_, _, is_measured)| *is_measured) {
            map.serialize_entry(name, &number)?;
        }
        if by_size {
            map.serialize_entry("BySize", &stats.by_size[..])?;
        }
        map.end()
    }
}

impl Serialize for MemStats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("MemStats", 32)?;
        fields.serialize_field("Alloc", &self.alloc)?;
        fields.serialize_field("TotalAlloc", &self.total_alloc)?;
        fields.serialize_field("Sys", &self.sys)?;
        fields.serialize_field("Lookups", &self.lookups)?;
        fields.serialize_field("Mallocs", &self.mallocs)?;
        fields.serialize_field("Frees", &self.frees)?;
        fields.serialize_field("HeapAlloc", &self.heap_alloc)?;
        fields.serialize_field("HeapSys", &self.heap_sys)?;
        fields.serialize_field("HeapIdle", &self.heap_idle)?;
        fields.serialize_field("HeapInuse", &self.heap_inuse)?;
        fields.serialize_field("HeapReleased", &self.heap_released)?;
        fields.serialize_field("HeapObjects", &self.heap_objects)?;
        fields.serialize_field("StackInuse", &self.stack_inuse)?;
        fields.serialize_field("StackSys", &self.stack_sys)?;
        fields.serialize_field("MSpanInuse", &self.mspan_inuse)?;
        fields.serialize_field("MSpanSys", &self.mspan_sys)?;
        fields.serialize_field("MCacheInuse", &self.mcache_inuse)?;
        fields.serialize_field("MCacheSys", &self.mcache_sys)?;
        fields.serialize_field("BuckHashSys", &self.buck_hash_sys)?;
        fields.serialize_field("GCSys", &self.gc_sys)?;
        fields.serialize_field("OtherSys", &self.other_sys)?;
        fields.serialize_field("NextGC", &self.next_gc)?;
        fields.serialize_field("LastGC", &self.last_gc)?;
        fields.serialize_field("PauseTotalNs", &self.pause_total_ns)?;
        fields.serialize_field("PauseNs", &self.pause_ns[..])?;
        fields.serialize_field("PauseEnd", &self.pause_end[..])?;
        fields.serialize_field("NumGC", &self.num_gc)?;
        fields.serialize_field("NumForcedGC", &self.num_forced_gc)?;
        fields.serialize_field("GCCPUFraction", &self.gc_cpu_fraction)?;
        fields.serialize_field("EnableGC", &self.enable_gc)?;
        fields.serialize_field("DebugGC", &self.debug_gc)?;
        fields.serialize_field("BySize", &self.by_size[..])?;
        fields.end()
    }
}

impl Serialize for BySize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("BySize", 3)?;
        fields.serialize_field("Size", &self.size)?;
        fields.serialize_field("Mallocs", &self.mallocs)?;
        fields.serialize_field("Frees", &self.frees)?;
        fields.end()
    }
}
