/* reporter: the results of node:test in the form of mocha's JSON, in the file COMPAT_RESULTS. */
import fs from 'node:fs';

/** Tests are told when they end, so what is nested comes before what holds it. */
export default async function* report(source) {
    const waiting = []; // by nesting: the results without the names of what holds them
    const put = () => {
        const all = waiting[0] ?? [];
        const of = (state) => all.filter((one) => one.state === state).map(({ fullTitle, err }) => ({ fullTitle, err }));
        const results = { passes: of('pass'), failures: of('fail'), pending: of('skip') };
        fs.writeFileSync(process.env.COMPAT_RESULTS, JSON.stringify(results));
    };
    for await (const { type, data } of source) {
        if (type !== 'test:pass' && type !== 'test:fail') continue;
        const { name, nesting, details, skip, todo } = data;
        const inner = waiting[nesting + 1] ?? [];
        waiting[nesting + 1] = [];
        const level = (waiting[nesting] ??= []);
        for (const one of inner) level.push({ ...one, fullTitle: `${name} ${one.fullTitle}` });
        if (details?.type === 'suite') continue;
        const err = type === 'test:fail' ? { message: String(details?.error?.cause?.message ?? details?.error) } : undefined;
        level.push({ fullTitle: name, state: skip || todo ? 'skip' : type.slice('test:'.length), err });
    }
    put();
    yield '';
}
