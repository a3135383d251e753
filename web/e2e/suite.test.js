/**
 * What a user does in a chat, with each element at hand: the open one always, the stock one if CHATKIT_STOCK_DIR names a
 * directory with a build of it. One file, because its parts share a server: `--test-name-pattern` runs some of them.
 */
import { describe } from "node:test";

import { elements } from "./elements/index.js";
import { setStage } from "./stage.js";
import { agent } from "./suite/agent.js";
import { answers } from "./suite/answers.js";
import { composer, mentions } from "./suite/composer.js";
import { crash } from "./suite/crash.js";
import { looks } from "./suite/looks.js";
import { threads } from "./suite/threads.js";

for (const element of elements) {
  describe(`${element.name} element`, () => {
    const stage = setStage({ CHATKIT_AGENT: "showcase:agent" }, element);
    for (const part of [answers, agent, threads, looks]) part({ element, stage });
  });
  describe(`${element.name} element, with servers of their own`, () => {
    for (const part of [composer, mentions, crash]) part(element);
  });
}
