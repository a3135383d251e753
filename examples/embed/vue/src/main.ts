import { createApp } from "vue";

import ChatPanel from "./ChatPanel.vue";
import "./style.css";

createApp(ChatPanel).mount("#app");
