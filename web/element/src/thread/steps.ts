/** What shows the steps of the assistant, loaded with the first of them. */
import "./task";
import "./workflow";
