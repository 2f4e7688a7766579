// Asks kubernetes-models whether objects fit Kubernetes' own schemas.
//
//     node models.mjs PACKAGES <OBJECTS >ANSWERS
//
// Both are JSON arrays of the same length; an answer is "" or what is wrong. A kind that the package
// does not know is wrong, too: nothing of ours needs one.

import fs from 'node:fs';
import { pathToFileURL } from 'node:url';

const models = pathToFileURL(`${process.argv[2]}/node_modules/kubernetes-models/`);

async function judge(object) {
  let Model;
  try {
    Model = (await import(`${models}${object.apiVersion}/${object.kind}.js`))[object.kind];
  } catch (error) {
    return `there is no ${object.kind} in ${object.apiVersion}: ${error.code}`;
  }
  try {
    new Model(object).validate();
    return '';
  } catch (error) {
    return error.message;
  }
}

const answers = [];
for (const object of JSON.parse(fs.readFileSync(0, 'utf8'))) answers.push(await judge(object));
process.stdout.write(JSON.stringify(answers));
