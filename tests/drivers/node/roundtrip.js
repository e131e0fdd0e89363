// Asks node-postgres, as tests/drivers/programs.py says: `node roundtrip.js text|binary`, the types on standard input.
'use strict'
const { inspect } = require('util')
const pg = require('pg')

const isBinary = process.argv[2] === 'binary'
const kinds = require('fs').readFileSync(0, 'utf8').trim().split('\n').map((line) => {
  const [column, type, first, last] = line.split('\t')
  return { column, type, first: Number(first), last: Number(last) }
})
const noParser = pg.types.getTypeParser(1, 'binary')

function native(values) {
  const value = values.find((each) => each !== null && each !== undefined)
  if (Array.isArray(value)) return `Array of ${native(value)}`
  if (value === undefined) return 'null'
  return typeof value === 'object' ? value.constructor.name : typeof value
}

function forWriting(kind, value) {
  if (value === null || !kind.type.startsWith('json')) return value
  if (!kind.type.endsWith('[]')) return JSON.stringify(value)
  return value.map((each) => (each === null ? null : JSON.stringify(each)))
}

async function roundTrip(client, kind, table) {
  const where = `WHERE id BETWEEN ${kind.first} AND ${kind.last} ORDER BY id`
  const seeds = await client.query(`SELECT ${kind.column} AS v FROM seed ${where}`)
  for (const [number, { v }] of seeds.rows.entries()) {
    const text = `INSERT INTO ${table} (id, ${kind.column}) VALUES ($1, $2)`
    await client.query(text, [kind.first + number, forWriting(kind, v)])
  }
  const got = await client.query({ text: `SELECT ${kind.column} AS v FROM ${table} ${where}`, binary: isBinary })
  const field = got.fields[0]
  const declared = [field.dataTypeID, field.dataTypeModifier, field.dataTypeSize, field.format]
  if (isBinary && pg.types.getTypeParser(field.dataTypeID, 'binary') === noParser) {
    return { native: '', declared: inspect(declared) }
  }
  const values = got.rows.map((row) => row.v)
  const isJson = kind.type === 'json' || kind.type === 'jsonb'
  return {
    native: isJson ? 'any JSON' : native(values),
    values: values.map((each) => inspect(each, { depth: 9 })),
    declared: inspect(declared),
  }
}

async function main() {
  const client = new pg.Client({ ssl: false })
  await client.connect()
  for (const kind of kinds) {
    for (const table of ['plain', 'sealed']) {
      const answer = { column: kind.column, table }
      try {
        Object.assign(answer, await roundTrip(client, kind, table))
      } catch (error) {
        answer.error = String(error)
      }
      console.log(JSON.stringify(answer))
    }
  }
  await client.end()
}

main()
