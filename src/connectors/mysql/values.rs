//! How values of the server look in a row of ours. Rows of a query and rows of the log are written through here, so that
//! one value has the same bytes both ways.

use super::charset::Charset;
use crate::model::{Date, Decimal, RowBuilder, ValueRef};

/// `0000-00-00 00:00:00` of a `timestamp`: no instant.
pub(super) const ZERO_TIMESTAMP: ValueRef<'static> = ValueRef::Native("timestamp", &[0]);

/// An `enum` that holds none of its labels: index 0, which reads as an empty text.
pub(super) const INVALID_ENUM: ValueRef<'static> = ValueRef::Native("enum", &[0]);

/// Text in the character set of its column.
pub(super) fn text(row: &mut RowBuilder<'_>, charset: &Charset, bytes: &[u8]) {
    match charset.decode(bytes) {
        Some(text) => row.value(ValueRef::Text(&text)),
        None => row.value(ValueRef::Native(&charset.name, bytes)),
    };
}

/// By index, from 1. `None`: there is no such label.
pub(super) fn label(row: &mut RowBuilder<'_>, labels: &[String], index: u64) -> Option<()> {
    let value = match index.checked_sub(1) {
        None => INVALID_ENUM,
        Some(place) => ValueRef::Text(labels.get(usize::try_from(place).ok()?)?),
    };
    row.value(value);
    Some(())
}

/// By bits, the first label's the lowest. `None`: a bit has no label.
pub(super) fn label_set(row: &mut RowBuilder<'_>, labels: &[String], bits: u64) -> Option<()> {
    if labels.len() < 64 && bits >> labels.len() != 0 {
        return None;
    }
    let chosen = labels.iter().enumerate().filter(|(place, _)| bits >> place & 1 == 1);
    let text = chosen.map(|(_, label)| label.as_str()).collect::<Vec<_>>().join(",");
    row.value(ValueRef::Text(&text));
    Some(())
}

/// As the server prints it, but without the zeros that `zerofill` puts in front.
pub(super) fn decimal(row: &mut RowBuilder<'_>, text: &str) {
    let digits = text.trim_start_matches('-');
    let sign = &text[..text.len() - digits.len()];
    let whole = digits.split('.').next().unwrap_or_default();
    let zeros = whole.len() - whole.trim_start_matches('0').len();
    let kept = &digits[zeros.min(whole.len().saturating_sub(1))..];
    if kept.len() == digits.len() {
        row.value(ValueRef::Decimal(Decimal(text)));
    } else {
        row.value(ValueRef::Decimal(Decimal(&format!("{sign}{kept}"))));
    }
}

/// A `timestamp` as the date and time that it is in UTC.
pub(super) fn instant(row: &mut RowBuilder<'_>, date: Date, nanos_of_day: i64) {
    if date == (Date { year: 0, month: 0, day: 0 }) {
        row.value(ZERO_TIMESTAMP);
        return;
    }
    let seconds = days_since_1970(date) * 86_400 + nanos_of_day / 1_000_000_000;
    let nanos = u32::try_from(nanos_of_day % 1_000_000_000).expect("below a second");
    row.value(ValueRef::Instant(seconds, nanos));
}

/// `hour:minute:second.micros` in nanoseconds.
pub(super) fn nanos(hours: u64, minutes: u8, seconds: u8, micros: u32) -> i64 {
    let seconds = hours * 3_600 + u64::from(minutes) * 60 + u64::from(seconds);
    i64::try_from(seconds * 1_000_000_000 + u64::from(micros) * 1_000).expect("hours of a time are few")
}

/// A date without zero parts; proleptic Gregorian. (Howard Hinnant's `days_from_civil`.)
pub(super) fn days_since_1970(date: Date) -> i64 {
    let (month, day) = (i64::from(date.month), i64::from(date.day));
    let year = i64::from(date.year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The other way round.
pub(super) fn date_of(days_since_1970: i64) -> Date {
    let days = days_since_1970 + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let small = |number: i64| u8::try_from(number).expect("a month or a day");
    Date { year: i32::try_from(year).unwrap_or(i32::MAX), month: small(month), day: small(day) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RowRef, Value};

    fn one(write: impl FnOnce(&mut RowBuilder<'_>)) -> Value {
        let mut slab = Vec::new();
        let mut row = RowBuilder::new(&mut slab);
        write(&mut row);
        let place = row.finish();
        RowRef::new(&slab, place).to_values().remove(0).unwrap()
    }

    #[test]
    fn decimals_lose_only_zeros_in_front() {
        for (given, kept) in [("00012.50", "12.50"), ("-000.10", "-0.10"), ("0", "0"), ("000", "0"), ("-1.0", "-1.0")] {
            assert_eq!(one(|row| decimal(row, given)), Value::Decimal(kept.into()), "{given}");
        }
    }

    #[test]
    fn labels() {
        let labels = ["a".to_owned(), String::new(), "c".to_owned()];
        assert_eq!(one(|row| label(row, &labels, 1).unwrap()), Value::Text("a".into()));
        assert_eq!(one(|row| label(row, &labels, 2).unwrap()), Value::Text(String::new()));
        assert_eq!(one(|row| label(row, &labels, 0).unwrap()), Value::Native("enum".into(), vec![0]));
        assert_eq!(one(|row| label_set(row, &labels, 5).unwrap()), Value::Text("a,c".into()));
        let mut slab = Vec::new();
        assert_eq!(label(&mut RowBuilder::new(&mut slab), &labels, 4), None);
        assert_eq!(label_set(&mut RowBuilder::new(&mut slab), &labels, 8), None);
    }

    #[test]
    fn days_count_both_ways() {
        for (year, month, day, days) in
            [(1970, 1, 1, 0), (2000, 2, 29, 11_016), (1969, 12, 31, -1), (2038, 1, 19, 24_855)]
        {
            let date = Date { year, month, day };
            assert_eq!(days_since_1970(date), days);
            assert_eq!(date_of(days), date);
        }
    }
}
