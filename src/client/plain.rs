//! Answers as plain data: the JSON that grpcurl prints, with the proto's own field names and numbers as numbers.

use crate::control::DESCRIPTORS;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde::{Serialize, Serializer};
use std::sync::LazyLock;

/// One of the API's messages, ready to be written as JSON or YAML. Fields are in the order of the proto; one that is not
/// set is left out where that means "not known", and has its default elsewhere.
///
/// ```
/// use whimbrel::client::{Plain, Store};
///
/// let store = Store { name: "shop".into(), ..Store::default() };
/// assert_eq!(serde_json::to_value(Plain::new(&store)).unwrap()["name"], "shop");
/// ```
#[derive(Clone, Debug)]
pub struct Plain(DynamicMessage);

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).expect("the build script made them"));

impl Plain {
    /// # Panics
    /// For a message that is none of the API's.
    pub fn new<M: prost::Message>(message: &M) -> Plain {
        let name = std::any::type_name::<M>().rsplit("::").next().unwrap_or_default();
        let shape = POOL.get_message_by_name(&format!("whimbrel.v1.{name}")).expect("one of the API's messages");
        Plain(DynamicMessage::decode(shape, message.encode_to_vec().as_slice()).expect("its own encoding"))
    }
}

impl Serialize for Plain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let options = SerializeOptions::new()
            .use_proto_field_name(true)
            .stringify_64_bit_integers(false)
            .skip_default_fields(false);
        self.0.serialize_with_options(serializer, &options)
    }
}
