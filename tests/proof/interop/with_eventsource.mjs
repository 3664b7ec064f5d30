// Prints what the npm package eventsource makes of a stream, over as many connections as it takes: `node … URL`.

import { EventSource } from 'eventsource';

const source = new EventSource(process.argv[process.argv.length - 1]);
source.addEventListener('shop.sold', (event) => {
  console.log(`id: ${event.lastEventId}\ndata: ${event.data}`);
});
