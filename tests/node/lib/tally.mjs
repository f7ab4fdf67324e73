/** A reporter for `node --test`: "FAIL file" for each test that failed, and Node's own counts ("# pass 7"). */
export default async function* tally(source) {
    for await (const { type, data } of source) {
        if (type === 'test:fail') yield `FAIL ${data.file ?? data.name}\n`;
        else if (type === 'test:diagnostic') yield `# ${data.message}\n`;
    }
}
