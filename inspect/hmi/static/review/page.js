// The bare page /review. Inside Gradio the same module is mounted into an element of its own (see mount in main.js).
import { mount } from "./main.js";

mount(document.getElementById("review"));
