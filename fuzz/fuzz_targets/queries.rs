#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sandbox_provisioner_fuzz::properties::queries::check(data));
