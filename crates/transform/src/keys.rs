//! The columns that tie a row to its record and its list.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, StringArray, UInt32Array, new_null_array},
    buffer::{Buffer, OffsetBuffer, ScalarBuffer},
    compute::take,
    datatypes::DataType,
};
use pagemill_core::{Error, Result};

/// The account's column: one value, as often as needed.
///
/// The column is made once and handed out in slices, so that a batch costs no copy of it.
#[derive(Debug)]
pub(crate) struct Account {
    id: Option<String>,
    made: Mutex<ArrayRef>,
}

/// Columns longer than this are made anew, so that one large batch does not stay in memory.
pub(crate) const KEPT: usize = 1 << 16;

impl Account {
    pub(crate) fn new(id: Option<String>) -> Self {
        Self { id, made: Mutex::new(new_null_array(&DataType::Utf8, 0)) }
    }

    /// The column, `rows` long.
    pub(crate) fn column(&self, rows: usize) -> Result<ArrayRef> {
        if rows > KEPT {
            return self.make(rows);
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.len() < rows {
            *made = self.make(rows.next_power_of_two())?;
        }
        Ok(made.slice(0, rows))
    }

    fn make(&self, rows: usize) -> Result<ArrayRef> {
        let Some(id) = &self.id else { return Ok(new_null_array(&DataType::Utf8, rows)) };
        let bytes = id.len().checked_mul(rows).filter(|n| i32::try_from(*n).is_ok());
        if bytes.is_none() {
            return Err(Error::data(format!("a batch of {rows} rows is too large for one column"))
                .advise("use smaller batches"));
        }
        let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(id.len(), rows));
        Ok(Arc::new(StringArray::try_new(offsets, Buffer::from(id.repeat(rows).into_bytes()), None)?))
    }
}

/// Items of a list that are written without a look at how many there are.
const FEW: usize = 4;

/// Which item of which parent each row of a child table is.
#[derive(Debug)]
pub(crate) struct Spread {
    parents: UInt32Array,
    positions: Vec<i64>,
}

impl Spread {
    /// From the lengths of the parents' lists, which add up to `total`; a null list has no items.
    ///
    /// Fails when they do not add up.
    pub(crate) fn new(counts: &Int64Array, total: usize) -> Result<Self> {
        let wrong = || Error::data(format!("the lengths of the lists do not add up to their {total} items"));
        let rows = u32::try_from(counts.len()).map_err(|_| wrong())?;
        let (mut parents, mut positions) = (vec![0; total + FEW], vec![0; total + FEW]);
        let mut end = 0;
        let nulls = counts.nulls();
        for (parent, &count) in (0..rows).zip(counts.values()) {
            let valid = nulls.is_none_or(|nulls| nulls.is_valid(parent as usize));
            let count = count & i64::from(valid).wrapping_neg();
            // `end` is never beyond `total`.
            let len = usize::try_from(count).ok().filter(|len| *len <= total.wrapping_sub(end)).ok_or_else(wrong)?;
            // A few items are written whether the list has them or not, and overwritten by the next list's: how long the
            // next list is nobody can guess, and a wrong guess costs more than all of this.
            let few = parents[end..].first_chunk_mut().zip(positions[end..].first_chunk_mut());
            if let Some((parents, positions)) = few {
                (*parents, *positions) = ([parent; FEW], std::array::from_fn::<_, FEW, _>(|i| i as i64));
            }
            if len > FEW {
                parents[end..end + len].fill(parent);
                positions[end..end + len].iter_mut().zip(0..).for_each(|(position, i)| *position = i);
            }
            end += len;
        }
        if end != total {
            return Err(wrong());
        }
        parents.truncate(total);
        positions.truncate(total);
        Ok(Self { parents: parents.into(), positions })
    }
}

/// The values of `key` at `parents`.
fn repeat(key: &ArrayRef, parents: &UInt32Array) -> Result<ArrayRef> {
    let short =
        key.as_string_opt::<i32>().filter(|key| key.null_count() == 0).and_then(|key| repeat_short(key, parents));
    Ok(match short {
        Some(short) => Arc::new(short),
        None => take(key, parents, None)?,
    })
}

/// As [`repeat`], where all values are short, and there are none that are null; `None` where that is not so.
fn repeat_short(key: &StringArray, parents: &UInt32Array) -> Option<StringArray> {
    let bounds = key.value_offsets();
    // Bounds ascend, so that nothing wraps.
    let longest = bounds.iter().zip(bounds.get(1..)?).fold(0, |most, (from, to)| to.wrapping_sub(*from).max(most));
    match longest {
        ..=16 => repeat_steps::<16>(key, parents, longest),
        // That of a UUID is 36.
        17..=48 => repeat_steps::<48>(key, parents, longest),
        _ => None,
    }
}

/// As [`repeat_short`], where no value is longer than `longest`, which is `STEP` at most: so many bytes are copied of each, without a
/// look at how many it has.
fn repeat_steps<const STEP: usize>(key: &StringArray, parents: &UInt32Array, longest: i32) -> Option<StringArray> {
    let (bounds, values) = (key.value_offsets(), key.value_data());
    let most = parents.len().checked_mul(usize::try_from(longest).ok()?)?;
    i32::try_from(most).ok()?;
    let mut bytes = vec![0; most + STEP];
    let mut offsets = vec![0; parents.len() + 1];
    let mut end = 0_usize;
    for (&parent, offset) in parents.values().iter().zip(offsets.get_mut(1..)?) {
        let &[from, to] = bounds.get(parent as usize..)?.first_chunk()?;
        let (from, len) = (from as usize, to.wrapping_sub(from) as usize);
        let (value, room) = (values.get(from..)?, bytes.get_mut(end..)?);
        match value.first_chunk::<STEP>() {
            // What is too much here is overwritten by the next one, or cut off at the end.
            Some(value) => *room.first_chunk_mut()? = *value,
            None => room.get_mut(..len)?.copy_from_slice(value.get(..len)?),
        }
        // Within `most`, which an offset can hold.
        end = end.wrapping_add(len);
        *offset = end as i32;
    }
    bytes.truncate(end);
    // One long key among many short ones should not have the batch hold room that it has no use for.
    if most / 2 > end {
        bytes.shrink_to_fit();
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    StringArray::try_new(offsets, bytes.into(), None).ok()
}

/// The keys of a table's rows, but for the account.
#[derive(Debug)]
pub(crate) struct Keys {
    rows: ScalarBuffer<i64>,
    key: Option<ArrayRef>,
    /// True in child tables only: the root table has its key among its own columns.
    child: bool,
    /// Positions, outermost list first, the table's own last.
    positions: Vec<ScalarBuffer<i64>>,
}

impl Keys {
    /// Of the root table: the ordinals of its rows, and the column that identifies them.
    pub(crate) fn root(rows: ScalarBuffer<i64>, key: Option<ArrayRef>) -> Self {
        Self { rows, key, child: false, positions: Vec::new() }
    }

    /// Of a child table.
    pub(crate) fn child(&self, spread: Spread) -> Result<Self> {
        let Spread { parents, positions } = spread;
        // The parents were counted from these very columns, so each is within them.
        let at = |from: &[i64], parent: u32| from.get(parent as usize).copied().unwrap_or_default();
        let gather = |from: &[i64]| parents.values().iter().map(|&parent| at(from, parent)).collect::<Vec<_>>();
        let key = self.key.as_ref().map(|key| repeat(key, &parents)).transpose()?;
        let around = self.positions.iter().map(|from| gather(from).into());
        Ok(Self {
            rows: gather(&self.rows).into(),
            key,
            child: true,
            positions: around.chain([positions.into()]).collect(),
        })
    }

    /// How many rows they are for.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The columns, in the table's order.
    pub(crate) fn columns(&self) -> impl Iterator<Item = ArrayRef> {
        let ints = |values: &ScalarBuffer<i64>| Arc::new(Int64Array::new(values.clone(), None)) as ArrayRef;
        let key = self.key.iter().filter(|_| self.child).map(Arc::clone);
        [ints(&self.rows)].into_iter().chain(key).chain(self.positions.iter().map(ints))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_made_once_and_shared() {
        let account = Account::new(Some("acme".into()));
        let (long, short) = (account.column(100).expect("fits"), account.column(3).expect("fits"));
        assert_eq!(short.as_string::<i32>(), &StringArray::from(vec!["acme"; 3]));
        assert_eq!(
            long.as_string::<i32>().values().as_ptr(),
            short.as_string::<i32>().values().as_ptr(),
            "the bytes are the same memory"
        );
        assert_eq!(account.column(KEPT + 1).expect("fits").len(), KEPT + 1);
        assert_eq!(Account::new(None).column(2).expect("fits").null_count(), 2);
        assert!(Account::new(Some("x".repeat(1 << 20))).column(1 << 12).is_err());
    }

    #[test]
    fn keys_are_repeated_as_take_does() {
        let short = |n: usize| "ä".repeat(n % 24) + &n.to_string();
        for long in [0, 1, 100] {
            let keys: ArrayRef =
                Arc::new(StringArray::from_iter_values((0..50).map(|n| short(n) + &"x".repeat(n * long / 50))));
            for keys in [keys.slice(0, 50), keys.slice(7, 40), keys.slice(49, 1), keys.slice(3, 0)] {
                let parents: UInt32Array =
                    (0..keys.len() as u32).flat_map(|n| std::iter::repeat_n(n, n as usize % 9)).collect();
                assert_eq!(&repeat(&keys, &parents).expect("values"), &take(&keys, &parents, None).expect("values"));
            }
        }
        let some: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
        let parents = UInt32Array::from(vec![0, 1, 1]);
        assert_eq!(&repeat(&some, &parents).expect("values"), &take(&some, &parents, None).expect("values"));
    }

    #[test]
    fn short_keys_are_repeated_in_steps_and_long_ones_are_left_to_take() {
        for longest in [0, 1, 2, 15, 16, 17, 47, 48, 49] {
            // The longest is first, last, and somewhere between others.
            for place in [0, 7, 19] {
                let key = |n: usize| {
                    let len = if n == place { longest } else { longest * (n % 5) / 5 };
                    char::from(b'a' + n as u8).to_string().repeat(len)
                };
                let keys = StringArray::from_iter_values((0..20).map(key));
                for keys in [keys.clone(), keys.slice(place.min(15), 5)] {
                    let parents: UInt32Array =
                        (0..keys.len() as u32).flat_map(|n| std::iter::repeat_n(n, 1 + n as usize % 6)).collect();
                    let expected = take(&keys, &parents, None).expect("values");
                    let here = keys.iter().flatten().map(str::len).max();
                    match repeat_short(&keys, &parents) {
                        Some(short) => assert_eq!(&short as &dyn Array, expected.as_ref(), "{longest} at {place}"),
                        None => assert_eq!(here, Some(49)),
                    }
                }
            }
        }
    }

    #[test]
    fn one_long_key_among_short_ones_takes_no_room_for_all() {
        let keys = StringArray::from(vec!["x".repeat(48), "y".to_owned()]);
        let parents: UInt32Array = [0].into_iter().chain(std::iter::repeat_n(1, 10_000)).collect();
        let repeated = repeat_short(&keys, &parents).expect("short");
        assert_eq!(repeated.values().len(), 10_048);
        assert!(repeated.values().capacity() < 20_096, "{}", repeated.values().capacity());
    }

    #[test]
    fn lengths_that_do_not_add_up_are_refused() {
        let counts = |values: Vec<Option<i64>>| Int64Array::from(values);
        let spread = Spread::new(&counts(vec![Some(2), None, Some(0), Some(1)]), 3).expect("adds up");
        assert_eq!((spread.parents.values().to_vec(), spread.positions), (vec![0, 0, 3], vec![0, 1, 0]));
        for len in 0..20_u32 {
            let lens = [Some(i64::from(len)), None, Some(1), Some(i64::from(len % 7))];
            let spread = Spread::new(&counts(lens.into()), (len + 1 + len % 7) as usize).expect("adds up");
            let all = [(0, len), (2, 1), (3, len % 7)];
            let parents: Vec<u32> = all.iter().flat_map(|&(parent, len)| vec![parent; len as usize]).collect();
            let positions: Vec<i64> = all.iter().flat_map(|&(_, len)| 0..i64::from(len)).collect();
            assert_eq!((spread.parents.values().to_vec(), spread.positions), (parents, positions));
        }
        for wrong in [vec![Some(2)], vec![Some(4)], vec![Some(-1), Some(4)], vec![Some(i64::MAX), Some(4)], vec![]] {
            assert!(Spread::new(&counts(wrong.clone()), 3).is_err(), "{wrong:?}");
        }
    }
}
