// Tables, rows, batches, ranges, conditions and errors through the official Node SDK.   trial.js ENDPOINT
const assert = require('node:assert');
const TableStore = require('tablestore');

const endpoint = process.argv[2];
const client = new TableStore.Client({
  accessKeyId: 'ak', secretAccessKey: 'sk', endpoint, instancename: 'inst', maxRetries: 0,
});
const Long = TableStore.Long;
const ignore = new TableStore.Condition(TableStore.RowExistenceExpectation.IGNORE, null);
const exist = new TableStore.Condition(TableStore.RowExistenceExpectation.EXPECT_EXIST, null);

const call = (name, order) => new Promise((resolve, reject) => {
  client[name](order, (error, answer) => (error ? reject(error) : resolve(answer)));
});

// The SDK knows errors by their HTTP number only; the code is somewhere in the raw body.
async function refused(code, name, order) {
  try {
    await call(name, order);
  } catch (error) {
    assert.ok(String(error.message).includes(code), `${name}: ${error.message} instead of ${code}`);
    return;
  }
  assert.fail(`${name} was not refused with ${code}`);
}

async function admin(name, order) {
  const answer = await fetch(`${endpoint}/_admin/${name}`, { method: 'POST', body: JSON.stringify(order) });
  assert.ok(answer.ok, await answer.text());
}

const key = (number) => [{ gid: Long.fromNumber(number) }, { uid: `u${number}` }];
const cells = (row) => Object.fromEntries(row.attributes.map((c) => [c.columnName, c.columnValue]));
const number = (row) => row.primaryKey[0].value.toNumber();

const steps = {
  async table() {
    await admin('settings', { ready_after_ms: 0 });
    const order = {
      tableMeta: {
        tableName: 't',
        primaryKey: [{ name: 'gid', type: 'INTEGER' }, { name: 'uid', type: 'STRING' }],
      },
      reservedThroughput: { capacityUnit: { read: 0, write: 0 } },
      tableOptions: { timeToLive: -1, maxVersions: 3 },
    };
    await call('createTable', order);
    await refused('OTSObjectAlreadyExist', 'createTable', order);
    const listed = await call('listTable', {});
    assert.deepStrictEqual(listed.tableNames || listed.table_names, ['t']);
    await call('updateTable', { tableName: 't', tableOptions: { timeToLive: -1, maxVersions: 2 } });
    const told = await call('describeTable', { tableName: 't' });
    assert.strictEqual((told.tableOptions || told.table_options).maxVersions
      ?? (told.tableOptions || told.table_options).max_versions, 2);
    await refused('OTSObjectNotExist', 'describeTable', { tableName: 'absent' });
  },

  async row() {
    await call('putRow', {
      tableName: 't', condition: ignore, primaryKey: key(1),
      attributeColumns: [{ i: Long.fromNumber(-2) }, { d: 1.5 }, { b: true }, { s: 'h中' }, { x: Buffer.from([1, 2]) }],
    });
    let found = cells((await call('getRow', { tableName: 't', primaryKey: key(1), maxVersions: 1 })).row);
    assert.strictEqual(found.i.toNumber(), -2);
    assert.strictEqual(found.d, 1.5);
    assert.strictEqual(found.b, true);
    assert.strictEqual(found.s, 'h中');
    assert.deepStrictEqual([...found.x], [1, 2]);
    await call('updateRow', {
      tableName: 't', condition: exist, primaryKey: key(1),
      updateOfAttributeColumns: [{ PUT: [{ s: 'new' }] }, { DELETE_ALL: ['d'] }],
    });
    found = cells((await call('getRow', { tableName: 't', primaryKey: key(1), maxVersions: 1 })).row);
    assert.deepStrictEqual(Object.keys(found), ['b', 'i', 's', 'x']);
    assert.strictEqual(found.s, 'new');
    await call('deleteRow', { tableName: 't', condition: ignore, primaryKey: key(1) });
    const gone = await call('getRow', { tableName: 't', primaryKey: key(1), maxVersions: 1 });
    assert.deepStrictEqual(Object.keys(gone.row), []);
  },

  async condition() {
    const put = (condition, value) => ({
      tableName: 't', condition, primaryKey: key(2), attributeColumns: [{ n: value }],
    });
    const absent = new TableStore.Condition(TableStore.RowExistenceExpectation.EXPECT_NOT_EXIST, null);
    await call('putRow', put(absent, 'five'));
    await refused('OTSConditionCheckFail', 'putRow', put(absent, 'six'));
    const six = new TableStore.SingleColumnCondition('n', 'six', TableStore.ComparatorType.EQUAL);
    const five = new TableStore.SingleColumnCondition('n', 'five', TableStore.ComparatorType.EQUAL);
    const when = (test) => new TableStore.Condition(TableStore.RowExistenceExpectation.IGNORE, test);
    await refused('OTSConditionCheckFail', 'putRow', put(when(six), 'six'));
    await call('putRow', put(when(five), 'six'));
    await call('deleteRow', { tableName: 't', condition: ignore, primaryKey: key(2) });
  },

  async batch() {
    const rows = [];
    for (let n = 10; n < 20; n += 1) {
      rows.push({ type: 'PUT', condition: ignore, primaryKey: key(n), attributeColumns: [{ a: `v${n}` }] });
    }
    rows.push({ type: 'PUT', condition: exist, primaryKey: key(99), attributeColumns: [{ a: 'x' }] });
    const answer = await call('batchWriteRow', { tables: [{ tableName: 't', rows }] });
    const results = answer.tables;
    assert.deepStrictEqual(results.map((r) => r.isOk), [...Array(10).fill(true), false]);
    assert.strictEqual(results[10].errorCode, 'OTSConditionCheckFail');
    await refused('OTSParameterInvalid', 'batchWriteRow', { tables: [{ tableName: 't', rows: [rows[0], rows[0]] }] });
    const got = await call('batchGetRow', {
      tables: [{ tableName: 't', primaryKey: [key(10), key(99), key(11)], maxVersions: 1 }],
    });
    assert.deepStrictEqual(got.tables[0].map((r) => (r.primaryKey ? cells(r).a : null)), ['v10', null, 'v11']);
  },

  async range() {
    const low = [{ gid: TableStore.INF_MIN }, { uid: TableStore.INF_MIN }];
    const high = [{ gid: TableStore.INF_MAX }, { uid: TableStore.INF_MAX }];
    async function page(direction, start, end, limit) {
      const answer = await call('getRange', {
        tableName: 't', direction, inclusiveStartPrimaryKey: start, exclusiveEndPrimaryKey: end, limit, maxVersions: 1,
      });
      const next = answer.nextStartPrimaryKey || answer.next_start_primary_key;
      return [answer.rows.map(number), next && next.length ? next.map((c) => ({ [c.name]: c.value })) : null];
    }
    const up = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19];
    for (const [direction, from, to, wanted] of [['FORWARD', low, high, up], ['BACKWARD', high, low, [...up].reverse()]]) {
      let seen = [];
      for (let start = from; start;) {
        const [found, next] = await page(TableStore.Direction[direction], start, to, 3);
        seen = seen.concat(found);
        start = next;
      }
      assert.deepStrictEqual(seen, wanted);
    }
    assert.deepStrictEqual(await page(TableStore.Direction.FORWARD, key(30), key(40), 5), [[], null]);
    await admin('fault', { operation: 'GetRange', kind: 'empty_page', times: 1 });
    const [found, next] = await page(TableStore.Direction.FORWARD, low, high, 5);
    assert.deepStrictEqual(found, []);
    assert.ok(next);
  },

  async fault() {
    await admin('fault', { operation: 'BatchWriteRow', kind: 'row', rows: [0], code: 'OTSServerBusy', times: 1 });
    const rows = [1, 2].map((n) => ({
      type: 'PUT', condition: ignore, primaryKey: key(60 + n), attributeColumns: [{ a: 'x' }],
    }));
    const answer = await call('batchWriteRow', { tables: [{ tableName: 't', rows }] });
    assert.deepStrictEqual(answer.tables.map((r) => r.isOk), [false, true]);
  },

  async drop() {
    await call('deleteTable', { tableName: 't' });
    const listed = await call('listTable', {});
    assert.deepStrictEqual(listed.tableNames || listed.table_names || [], []);
  },
};

(async () => {
  for (const [name, step] of Object.entries(steps)) {
    await step();
    console.log('ok', name);
  }
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
