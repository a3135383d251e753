"""Put together what the page may offer to one user."""

from ..agents.workflows import AgentSources, UnknownWorkflow
from ..composer.choices import Choices
from ..composer.offers import Features, OfferedAttachments, Offers, offered_model, offered_tool
from ..composer.prompts import prompts_for
from ..context import RequestContext
from ..files.sizes import offered_limit
from ..files.upload_limits import count_limit, size_limit
from ..models.model_info import ModelInfo
from ..settings import Settings


def offers_for(
    context: RequestContext,
    agents: AgentSources,
    choices: Choices,
    info: ModelInfo,
    settings: Settings,
    features: Features,
) -> Offers:
    """Return the offers for the user of this request; `features` are the server's, before the session's terms."""
    session = context.session
    try:
        agent = agents.of(context)
    except UnknownWorkflow:  # the session outlived a change of CHATKIT_AGENT; its messages say it
        agent = agents.first
    has_attachments = features.attachments and (session is None or session.has_uploads)
    default_prompts = prompts_for(info.provider, is_default_agent=agent.is_default)
    return Offers(
        widget=settings.widget,
        agent=agent.agent_name,
        models=[offered_model(choice) for choice in choices.models],
        tools=[offered_tool(choice) for choice in choices.tools],
        prompts=list(default_prompts) if settings.prompts is None else settings.prompts,
        attachments=_attachments(settings, context) if has_attachments else None,
        features=features.model_copy(
            update={"attachments": has_attachments, "history": session is None or session.has_history}
        ),
    )


def _attachments(settings: Settings, context: RequestContext) -> OfferedAttachments:
    return OfferedAttachments(
        max_size=offered_limit(size_limit(settings, context)), max_count=count_limit(settings, context)
    )
