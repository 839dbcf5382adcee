// Renders one avatar a line of SPEC (JSON: {style, options}; or {svg, background} of an emoji) as SIZE x SIZE RGB bytes, in order, into OUT.
// Usage: node portraits.mjs HOME SPEC OUT SIZE   (HOME holds node_modules; it lies outside this folder)
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import fs from 'node:fs';

const [home, specPath, outPath, sizeText] = process.argv.slice(2);
const size = Number(sizeText);
const load = (name) => import(pathToFileURL(`${home}/node_modules/@dicebear/${name}/lib/index.js`));
const { createAvatar } = await load('core');
const { Resvg } = createRequire(`${home}/`)('@resvg/resvg-js');

const styles = {};
const out = fs.openSync(outPath, 'w');
const rgb = Buffer.alloc(size * size * 3);
for (const line of fs.readFileSync(specPath, 'utf8').split('\n')) {
  if (!line) continue;
  const { style, options, svg: given, background } = JSON.parse(line);
  if (style) styles[style] ??= await load(style);
  const svg = given ?? createAvatar(styles[style], options).toString();
  // without loadSystemFonts: false resvg reads every font of the system for each picture (10 times slower)
  const rgba = new Resvg(svg, {
    fitTo: { mode: 'width', value: size }, font: { loadSystemFonts: false }, background,
  }).render().pixels;
  for (let i = 0, j = 0; i < rgba.length; i += 4) {
    rgb[j++] = rgba[i]; rgb[j++] = rgba[i + 1]; rgb[j++] = rgba[i + 2];
  }
  fs.writeSync(out, rgb);
}
fs.closeSync(out);
