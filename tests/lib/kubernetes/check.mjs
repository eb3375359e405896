// node check.mjs MODULES <objects.json: says for each Kubernetes object of a list what is wrong with it by the API's schema.
// Two judges of one package, kubernetes-models: its types, under which TypeScript refuses fields that the API does not know, and its
// validators, which know formats and limits. Writes a list of lists of texts.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { join, resolve } from 'node:path'

const modules = resolve(process.argv[2])
const require = createRequire(join(modules, 'package.json'))
const ts = require('typescript')
const objects = JSON.parse(readFileSync(0))

const sources = new Map(objects.map((o, i) => [join(modules, `object-${i}.ts`),
    `import type { I${o.kind} as Kind } from "kubernetes-models/${o.apiVersion}"\nexport const object: Kind = ${JSON.stringify(o, null, 1)}\n`]))
const options = { strict: true, noEmit: true, types: [], module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler, skipLibCheck: true }
const host = ts.createCompilerHost(options)
const { fileExists, readFile, getSourceFile } = host
host.fileExists = name => sources.has(name) || fileExists(name)
host.readFile = name => sources.get(name) ?? readFile(name)
host.getSourceFile = (name, version, ...rest) => sources.has(name) ? ts.createSourceFile(name, sources.get(name), version) : getSourceFile(name, version, ...rest)
const program = ts.createProgram([...sources.keys()], options, host)

function types (name) {
    const file = program.getSourceFile(name)
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(d => ts.flattenDiagnosticMessageText(d.messageText, ' '))
}

async function validators (object) {
    try {
        const group = await import(pathToFileURL(join(modules, 'node_modules/kubernetes-models', object.apiVersion, 'index.js')))
        new group[object.kind](object).validate()
        return []
    } catch (e) {
        return [e.message]
    }
}

const said = []
let i = 0
for (const name of sources.keys())
    said.push([...types(name), ...await validators(objects[i++])])
console.log(JSON.stringify(said))
