//! Whether an answer looks like the contract's example: same fields, same types, other values.

use serde_json::Value;

/// Panics unless `actual` has exactly the fields of `example`, each with a value of the same type.
pub(crate) fn assert_same_shape(actual: &Value, example: &Value) {
    let mut problems = vec![];
    compare("$", actual, example, Extra::Refused, &mut problems);
    assert!(
        problems.is_empty(),
        "{}\nin {actual:#}",
        problems.join("\n")
    );
}

/// Panics unless `actual` has at least the fields of `example`, each with a value of the same type.
pub(crate) fn assert_covers_shape(actual: &Value, example: &Value) {
    let mut problems = vec![];
    compare("$", actual, example, Extra::Allowed, &mut problems);
    assert!(
        problems.is_empty(),
        "{}\nin {actual:#}",
        problems.join("\n")
    );
}

#[derive(Clone, Copy, PartialEq)]
enum Extra {
    Allowed,
    Refused,
}

fn compare(at: &str, actual: &Value, example: &Value, extra: Extra, problems: &mut Vec<String>) {
    match (actual, example) {
        (Value::Object(actual), Value::Object(example)) => {
            for (name, wanted) in example {
                match actual.get(name) {
                    Some(found) => {
                        compare(&format!("{at}.{name}"), found, wanted, extra, problems);
                    }
                    None => problems.push(format!("{at}.{name} is missing")),
                }
            }
            for name in actual.keys().filter(|name| !example.contains_key(*name)) {
                if extra == Extra::Refused {
                    problems.push(format!("{at}.{name} is not in the contract"));
                }
            }
        }
        (Value::Array(actual), Value::Array(example)) => {
            let wanted = example.first().expect("an example of the elements");
            for (index, found) in actual.iter().enumerate() {
                compare(&format!("{at}[{index}]"), found, wanted, extra, problems);
            }
        }
        (Value::Number(actual), Value::Number(_)) if actual.is_u64() => {}
        // Where the contract shows a negative number, -1 stands for none.
        (Value::Number(actual), Value::Number(example))
            if example.as_i64() < Some(0) && actual.is_i64() => {}
        (Value::String(_), Value::String(_))
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Null, Value::Null) => {}
        _ => problems.push(format!("{at} is {actual}; the contract shows {example}")),
    }
}

#[test]
fn a_shape_differs_by_a_missing_field_another_type_or_a_field_too_many() {
    use serde_json::json;
    let example = json!({"a": {"b": [[1]]}, "c": null});
    let problems = |actual: Value| {
        let mut problems = vec![];
        compare("$", &actual, &example, Extra::Refused, &mut problems);
        problems
    };
    assert!(problems(json!({"a": {"b": [[7, 8], []]}, "c": null})).is_empty());
    assert_eq!(problems(json!({"a": {"b": []}})), ["$.c is missing"]);
    assert_eq!(
        problems(json!({"a": {"b": []}, "c": null, "d": 1})),
        ["$.d is not in the contract"]
    );
    assert_eq!(problems(json!({"a": {"b": [["1"]]}, "c": 1})).len(), 2);
}
