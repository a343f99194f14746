"""Tables, rows, batches, ranges, conditions and errors through the official Python SDK.   trial.py ENDPOINT"""

import json
import logging
import sys
import time
import urllib.request

import tablestore as ots
import urllib3

endpoint = sys.argv[1]
client = ots.OTSClient(endpoint, "ak", "sk", "inst", logger_name="trial", retry_policy=ots.NoRetryPolicy())
patient = ots.OTSClient(endpoint, "ak", "sk", "inst", logger_name="patient")
v4 = ots.OTSClient(endpoint, "ak", "sk", "inst", logger_name="v4", region="cn-hangzhou")
# The SDK logs every refusal; here most are wanted.
logging.disable(logging.CRITICAL)


def same(found, wanted):
    if found != wanted:
        raise AssertionError(f"found {found!r}, wanted {wanted!r}")


def refused(code, act, *arguments, **named):
    try:
        act(*arguments, **named)
    except ots.OTSServiceError as error:
        same(error.get_error_code(), code)
        return error
    raise AssertionError(f"not refused with {code}")


def admin(name, **order):
    request = urllib.request.Request(f"{endpoint}/_admin/{name}", json.dumps(order).encode(), method="POST")
    return json.load(urllib.request.urlopen(request))


def cells(row):
    return {name: value for name, value, _ in row.attribute_columns}


def put(key, columns, condition=None, **named):
    return client.put_row("t", ots.Row(key, columns), condition or ots.Condition(ots.RowExistenceExpectation.IGNORE),
                          **named)


def key_of(number):
    return [("gid", number), ("uid", f"u{number:03}")]


def table():
    meta = ots.TableMeta("t", [("gid", "INTEGER"), ("uid", "STRING")])
    options = ots.TableOptions(-1, 3, 315360000)
    throughput = ots.ReservedThroughput(ots.CapacityUnit(0, 0))
    patient.create_table(meta, options, throughput)
    refused("OTSObjectAlreadyExist", client.create_table, meta, options, throughput)
    # The table is not there at once; the SDK repeats reads and writes until it is.
    patient.put_row("t", ots.Row(key_of(0), [("a", 1)]), ots.Condition(ots.RowExistenceExpectation.IGNORE))
    same(list(client.list_table()), ["t"])
    told = client.describe_table("t")
    same(told.table_meta.schema_of_primary_key, [("gid", "INTEGER"), ("uid", "STRING")])
    same(told.table_options.max_version, 3)
    client.update_table("t", ots.TableOptions(-1, 2, 315360000))
    same(client.describe_table("t").table_options.max_version, 2)
    refused("OTSObjectNotExist", client.describe_table, "absent")
    client.delete_row("t", key_of(0), ots.Condition(ots.RowExistenceExpectation.IGNORE))


def row():
    columns = [("i", -2), ("d", 1.5), ("b", True), ("s", "h中"), ("x", bytearray(b"\x01\x02")), ("old", 7, 1700000000123)]
    put(key_of(1), columns)
    _, found, _ = client.get_row("t", key_of(1), max_version=1)
    same(found.primary_key, key_of(1))
    same(cells(found), {"i": -2, "d": 1.5, "b": True, "s": "h中", "x": bytearray(b"\x01\x02"), "old": 7})
    same([c[2] for c in found.attribute_columns if c[0] == "old"], [1700000000123])
    client.update_row("t", ots.Row(key_of(1), {"PUT": [("i", 3)], "DELETE_ALL": [("d")], "INCREMENT": [("old", 5)]}),
                      ots.Condition(ots.RowExistenceExpectation.EXPECT_EXIST))
    _, found, _ = client.get_row("t", key_of(1), max_version=1)
    same(cells(found), {"i": 3, "b": True, "s": "h中", "x": bytearray(b"\x01\x02"), "old": 12})
    _, found, _ = client.get_row("t", key_of(1), ["i"], max_version=5)
    same([c[1] for c in found.attribute_columns], [3, -2])
    put(key_of(1), [])
    _, found, _ = client.get_row("t", key_of(1), max_version=1)
    same((found.primary_key, found.attribute_columns), (key_of(1), []))
    client.delete_row("t", key_of(1), ots.Condition(ots.RowExistenceExpectation.IGNORE))
    same(client.get_row("t", key_of(1), max_version=1)[1], None)


def extremes():
    columns = [("least", -2**63), ("most", 2**63 - 1), ("zero", -0.0), ("tiny", 5e-324), ("empty", ""),
               ("none", bytearray()), ("far", "a😀z"), ("inf", float("inf"))]
    put([("gid", -2**63), ("uid", "")], columns)
    _, found, _ = client.get_row("t", [("gid", -2**63), ("uid", "")], max_version=1)
    same(cells(found), {name: value for name, value in columns})
    client.delete_row("t", [("gid", -2**63), ("uid", "")], ots.Condition(ots.RowExistenceExpectation.IGNORE))


def condition():
    expect = ots.RowExistenceExpectation
    put(key_of(2), [("n", 5)], ots.Condition(expect.EXPECT_NOT_EXIST))
    refused("OTSConditionCheckFail", put, key_of(2), [("n", 6)], ots.Condition(expect.EXPECT_NOT_EXIST))
    refused("OTSConditionCheckFail", put, key_of(3), [("n", 6)], ots.Condition(expect.EXPECT_EXIST))
    five = ots.SingleColumnCondition("n", 5, ots.ComparatorType.EQUAL)
    six = ots.SingleColumnCondition("n", 6, ots.ComparatorType.EQUAL)
    refused("OTSConditionCheckFail", put, key_of(2), [("n", 6)], ots.Condition(expect.IGNORE, six))
    both = ots.CompositeColumnCondition(ots.LogicalOperator.OR)
    both.add_sub_condition(five)
    both.add_sub_condition(six)
    put(key_of(2), [("n", 6)], ots.Condition(expect.IGNORE, both))
    same(cells(client.get_row("t", key_of(2), max_version=1)[1]), {"n": 6})
    same(client.get_row("t", key_of(2), None, five, 1)[1], None)


def auto_increment():
    meta = ots.TableMeta("auto", [("pk", "STRING"), ("seq", "INTEGER", ots.PK_AUTO_INCR)])
    client.create_table(meta, ots.TableOptions(), ots.ReservedThroughput(ots.CapacityUnit(0, 0)))
    numbers = []
    for _ in range(3):
        _, made = patient.put_row("auto", ots.Row([("pk", "a"), ("seq", ots.PK_AUTO_INCR)], [("c", 1)]),
                                  ots.Condition(ots.RowExistenceExpectation.IGNORE), ots.ReturnType.RT_PK)
        numbers.append(made.primary_key[1][1])
    same(numbers, sorted(set(numbers)))


def batch():
    items = []
    ignore = ots.Condition(ots.RowExistenceExpectation.IGNORE)
    for number in range(10, 20):
        items.append(ots.PutRowItem(ots.Row(key_of(number), [("a", number)]), ignore))
    items.append(ots.PutRowItem(ots.Row(key_of(99), [("a", 1)]), ots.Condition(ots.RowExistenceExpectation.EXPECT_EXIST)))
    items.append(ots.DeleteRowItem(ots.Row(key_of(2)), ignore))
    request = ots.BatchWriteRowRequest()
    request.add(ots.TableInBatchWriteRowItem("t", items))
    answer = client.batch_write_row(request)
    same(answer.is_all_succeed(), False)
    good, bad = answer.get_put()
    same((len(good), len(bad)), (10, 1))
    same(bad[0].error_code, "OTSConditionCheckFail")
    request = ots.BatchGetRowRequest()
    request.add(ots.TableInBatchGetRowItem("t", [key_of(10), key_of(99), key_of(11)], ["a"], None, 1))
    rows = client.batch_get_row(request).get_result_by_table("t")
    same([cells(r.row) if r.row else None for r in rows], [{"a": 10}, None, {"a": 11}])


def batch_refused():
    ignore = ots.Condition(ots.RowExistenceExpectation.IGNORE)

    def send(*keys, table="t"):
        request = ots.BatchWriteRowRequest()
        items = [ots.PutRowItem(ots.Row(key, [("a", 1)]), ignore) for key in keys]
        request.add(ots.TableInBatchWriteRowItem(table, items))
        return client.batch_write_row(request)

    refused("OTSParameterInvalid", send, key_of(50), key_of(50))
    refused("OTSParameterInvalid", send, *[key_of(number) for number in range(201, 402)])
    refused("OTSInvalidPK", send, key_of(50), [("gid", "text"), ("uid", "x")])
    refused("OTSObjectNotExist", send, key_of(50), table="absent")
    same(client.get_row("t", key_of(50), max_version=1)[1], None)
    refused("OTSParameterInvalid", put, key_of(50), [("a", 1, 1000)])
    refused("OTSParameterInvalid", put, key_of(50), [("a", "x" * (2 * 1024 * 1024 + 1))])
    refused("OTSOutOfColumnCountLimit", put, key_of(50), [(f"c{n}", n) for n in range(1025)])
    refused("OTSParameterInvalid", put, key_of(50), [("naïve", 1)])


def ranges():
    low = [("gid", ots.INF_MIN), ("uid", ots.INF_MIN)]
    high = [("gid", ots.INF_MAX), ("uid", ots.INF_MAX)]

    def page(direction, start, end, limit=None, **named):
        _, following, rows, _ = client.get_range("t", direction, start, end, limit=limit, max_version=1, **named)
        return following, [r.primary_key[0][1] for r in rows]

    same(page("FORWARD", low, high), (None, list(range(10, 20))))
    same(page("BACKWARD", high, low), (None, list(range(19, 9, -1))))
    seen, start = [], low
    while start:
        start, found = page("FORWARD", start, high, 3)
        seen += found
    same(seen, list(range(10, 20)))
    seen, start = [], high
    while start:
        start, found = page("BACKWARD", start, low, 4)
        seen += found
    same(seen, list(range(19, 9, -1)))
    same(page("FORWARD", key_of(12), key_of(15)), (None, [12, 13, 14]))
    same(page("FORWARD", key_of(30), key_of(40)), (None, []))
    above = ots.SingleColumnCondition("a", 16, ots.ComparatorType.GREATER_THAN)
    same(page("FORWARD", low, high, column_filter=above), (None, [17, 18, 19]))
    refused("OTSParameterInvalid", page, "FORWARD", high, low)
    admin("fault", operation="GetRange", kind="empty_page", times=1)
    following, found = page("FORWARD", low, high)
    same((found, following), ([], key_of(10)))


def signature_v4():
    same("t" in v4.list_table(), True)


def wrong_key():
    stranger = ots.OTSClient(endpoint, "ak", "wrong", "inst", logger_name="s", retry_policy=ots.NoRetryPolicy())
    refused("OTSAuthFailed", stranger.list_table)


def faults():
    admin("fault", operation="GetRow", kind="error", code="OTSServerBusy", times=2)
    refused("OTSServerBusy", client.get_row, "t", key_of(10), max_version=1)
    same(cells(patient.get_row("t", key_of(10), max_version=1)[1]), {"a": 10})
    admin("fault", operation="BatchWriteRow", kind="row", rows=[1], code="OTSServerBusy", times=1)
    request = ots.BatchWriteRowRequest()
    ignore = ots.Condition(ots.RowExistenceExpectation.IGNORE)
    request.add(ots.TableInBatchWriteRowItem("t", [
        ots.PutRowItem(ots.Row(key_of(60), [("a", 1)]), ignore), ots.PutRowItem(ots.Row(key_of(61), [("a", 1)]), ignore)]))
    good, bad = client.batch_write_row(request).get_put()
    same(([g.index for g in good], [b.index for b in bad]), ([0], [1]))
    admin("fault", operation="GetRow", kind="corrupt", times=1)
    try:
        client.get_row("t", key_of(10), max_version=1)
        raise AssertionError("a corrupt answer was taken")
    except (ots.OTSClientError, ots.OTSServiceError):
        pass
    admin("fault", operation="PutRow", kind="cut", times=1)
    try:
        put(key_of(62), [("a", 1)])
    except urllib3.exceptions.ProtocolError:
        pass
    else:
        raise AssertionError("a cut answer was taken")
    same(cells(client.get_row("t", key_of(62), max_version=1)[1]), {"a": 1})


def drop():
    client.delete_table("auto")
    client.delete_table("t")
    same(list(client.list_table()), [])


steps = [table, row, extremes, condition, auto_increment, batch, batch_refused, ranges, signature_v4,
         wrong_key, faults, drop]
for step in steps:
    step()
    print("ok", step.__name__, flush=True)
    # Table operations are counted by the second.
    if step in (table, auto_increment):
        time.sleep(1)
