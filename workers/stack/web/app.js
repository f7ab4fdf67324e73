/* global Vue */
const EVERY_MS = 1000;
const PATIENCE_MS = 2000;

const ways = [
    { name: 'crash', path: 'crash', title: 'It throws, and ends: nodey starts it again.' },
    { name: 'freeze', path: 'freeze', title: 'It loops for ever: its health check fails, and it is replaced.' },
    { name: 'leak 20 MB', path: 'leak?mb=20', title: 'It keeps 20 MB: above its soft limit it is replaced.' },
    { name: 'leak 200 MB', path: 'leak?mb=200', title: 'It keeps 200 MB: above its limit it is killed.' },
];

const ask = async (service, path, method) => {
    const answer = await fetch(`api/${service.name}/${path}`, {
        method,
        signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (!answer.ok) throw new Error(`${answer.status}`);
    return answer.json();
};

Vue.createApp({
    data: () => ({
        ways,
        services: ['a', 'b'].map((name) => ({ name, up: false, pid: 0, uptime: 0, memory: 0, restarts: 0, said: '' })),
    }),
    methods: {
        async look(service) {
            try {
                const { pid, uptime, memory } = await ask(service, 'health', 'GET');
                const restarts = service.restarts + (service.pid !== 0 && service.pid !== pid);
                Object.assign(service, { up: true, pid, uptime, memory, restarts });
            } catch {
                service.up = false;
            }
            setTimeout(() => this.look(service), EVERY_MS);
        },
        async fail(service, way) {
            service.said = `${way.name} ...`;
            try {
                await ask(service, way.path, 'POST');
                service.said = way.title;
            } catch (error) {
                service.said = `${way.name}: ${error.message}`;
            }
        },
    },
    mounted() {
        this.services.forEach((service) => this.look(service));
    },
}).mount('#app');
