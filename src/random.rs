//! What must not be guessed: tokens, secrets and numbers from the system's randomness.

use aws_lc_rs::rand;

use crate::secret::Secret;

const LETTERS_AND_DIGITS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// Largest multiple of 62 in a byte: larger bytes are drawn again, or the first letters would come up more often.
const FAIR: u8 = 248;

/// `N` random bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut drawn = [0; N];
    rand::fill(&mut drawn).expect("the operating system gives random bytes");
    drawn
}

/// `length` letters and digits, 5.95 bits each: readable by every deployed parser, no `@`, no `:`, no escaping.
pub fn token(length: usize) -> Secret {
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let fair = bytes::<32>().into_iter().filter(|byte| *byte < FAIR);
        text.extend(
            fair.take(length - text.len())
                .map(|byte| char::from(LETTERS_AND_DIGITS[usize::from(byte % 62)])),
        );
    }
    Secret::new(text)
}

/// A positive number below 2^53, as decimal digits: deployed servers need a `providerId` that is a number, and this is
/// the largest range that JSON readers keep exact (SHR-4).
pub fn number() -> String {
    loop {
        let drawn = u64::from_be_bytes(bytes()) >> 11;
        // Never short enough to be mistaken for a small counter, never 0.
        if drawn > 1 << 40 {
            return drawn.to_string();
        }
    }
}

/// A number from 0 to 1, for jitter.
pub fn fraction() -> f64 {
    f64::from(u32::from_be_bytes(bytes())) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn tokens_are_letters_and_digits_of_the_asked_length_and_never_alike() {
        let drawn: HashSet<_> = (0..200).map(|_| token(43).expose().to_owned()).collect();
        assert_eq!(drawn.len(), 200);
        for text in drawn {
            assert_eq!(text.len(), 43);
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{text}");
        }
    }

    #[test]
    fn shr_4_numbers_stay_exact_in_json() {
        for _ in 0..200 {
            let drawn: u64 = number().parse().unwrap();
            assert!(drawn > 0 && drawn < 1 << 53);
        }
    }
}
